/**
 * The supervisor: starts the parts of a mesh on this machine, each a process of its own, in the order in which they need each
 * other, and ends all of them together. If one cannot start, none is left; if one ends by itself, the mesh says so.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { partId } from '../../identity/index.ts';
import { connectService } from '../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import { certificateAuthority, registration } from '../../proto/behalf/ca/v1/ca.ts';
import type { Child } from './child.ts';
import { type Children, createChildren } from './children.ts';
import { meshFacts } from './mesh-facts.ts';
import type { MeshFile } from './mesh-file.ts';
import { openOperatorIdentity } from './operator.ts';
import {
  authorityConfig,
  caConfig,
  collectorConfig,
  type MeshPaths,
  passphraseFile,
  sidecarConfig,
} from './part-configs.ts';
import type { MeshPlan } from './plan.ts';
import { openPolicyKey, type PolicyKey } from './policy-key.ts';
import { assignPorts } from './port-assignment.ts';
import { putSnapshot } from './put-snapshot.ts';
import { startPart, startProgram } from './start-process.ts';
import { MESH_FILE, type StateDir } from './state-dir.ts';

/** Join tokens are used within seconds of their making. */
const JOIN_TOKEN_TTL_S = 300;

export interface Mesh {
  readonly dir: StateDir;
  readonly plan: MeshPlan;
  readonly file: MeshFile;
  readonly operator: OwnIdentity;
  readonly policyKey: PolicyKey;
  readonly children: Children;
  /** Makes a one-time join token for a further workload and writes it to a file, which it names. */
  readonly joinTokenFor: JoinTokenFor;
  /** Ends every process and removes sockets. Never rejects. */
  stop(): Promise<void>;
}

export interface StartMesh {
  readonly plan: MeshPlan;
  readonly dir: StateDir;
  readonly log: Logger;
  /** Gives up starting; what was started is ended. Later use `stop`. */
  readonly signal?: AbortSignal;
  /** Further arguments for Node, by the child's name: for drills that need another clock or a hook in a part. */
  readonly nodeArgs?: (child: string) => readonly string[];
  /** Told what is being done, in a few words, for a person who waits. */
  readonly progress?: (what: string) => void;
}

type JoinTokenFor = (name: string, spiffeId: string) => Promise<string>;

/** What the steps of a start share. */
interface Startup extends Required<Omit<StartMesh, 'signal'>> {
  readonly paths: MeshPaths;
  readonly children: Children;
  /** Aborted when the mesh ends. */
  readonly ended: AbortSignal;
  /** Closed when the mesh ends, before its processes are. */
  readonly opened: { close(): unknown }[];
  part(name: string, command: string, config: object): Promise<Child>;
}

/**
 * Starts all of a plan and returns once everything serves.
 * @throws {BehalfError} `port_in_use`, `data_directory_unusable`, `process_died`, `config_invalid` and what parts refuse with;
 *   nothing is left running then
 */
export async function startMesh({
  plan,
  dir,
  log,
  signal,
  nodeArgs = () => [],
  progress = () => {},
}: StartMesh): Promise<Mesh> {
  const children = createChildren(dir.folder('log'), log);
  const ended = new AbortController();
  const opened: Startup['opened'] = [];
  const giveUp = (): void => {
    // What waits for a part must not wait for one that is being ended.
    ended.abort();
    void children.stop();
  };
  signal?.addEventListener('abort', giveUp, { once: true });
  const stop = async (): Promise<void> => {
    ended.abort();
    for (const one of opened) await one.close();
    await children.stop();
    dir.release();
  };
  try {
    const port = await assignPorts(plan, dir);
    opened.push({ close: port.release });
    const paths: MeshPaths = { dir, bundleFile: dir.file('ca', 'bundle.json'), caSocket: dir.socket('ca.sock'), port };
    const part: Startup['part'] = (name, command, config) =>
      startPart(children, paths, nodeArgs(name), name, command, config);
    const mesh = await startAll({
      plan,
      dir,
      log,
      nodeArgs,
      progress,
      paths,
      children,
      ended: ended.signal,
      opened,
      part,
    });
    return { ...mesh, stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
}

/** The steps, each resting on those before it. */
async function startAll(startup: Startup): Promise<Omit<Mesh, 'stop'>> {
  const { plan, dir, paths, children, part, progress } = startup;
  progress('certificate authority');
  await initCaOnce(startup);
  await part('ca', 'ca', caConfig(paths, plan));
  const operator = await becomeOperator(startup);
  const joinTokenFor = await makeJoinTokens(startup, operator);

  progress(plan.mode === 'full' ? 'collector and authority' : 'collector');
  const [, authority] = await Promise.all([
    part('collector', 'collector', collectorConfig(paths, plan)),
    plan.mode === 'full' ? part('authority', 'authority', authorityConfig(paths, plan)) : null,
  ]);

  progress('policy');
  const policyKey = await publishPolicy(startup, operator);

  progress(`${plan.services.length} sidecars`);
  await Promise.all(
    plan.services.map((service) => part(`${service.name} sidecar`, 'sidecar', sidecarConfig(paths, plan, service))),
  );
  const programs = plan.services.filter(({ program }) => program !== undefined);
  if (programs.length > 0) progress('services');
  await Promise.all(programs.map((service) => startProgram(children, paths, startup.nodeArgs(service.name), service)));

  const file = meshFacts(paths, plan, authority?.ready ?? null);
  dir.write(MESH_FILE, `${JSON.stringify(file, null, 2)}\n`);
  return { dir, plan, file, operator, policyKey, children, joinTokenFor };
}

/** Makes root, intermediate and bundle on the first start. The passphrase stands first: an interrupted start tries again with it. */
async function initCaOnce({ dir, plan, paths }: Startup): Promise<void> {
  const passphrase = readFileSync(passphraseFile(dir, 'ca'), 'utf8');
  const dataDir = dir.folder('ca');
  if (existsSync(paths.bundleFile)) return;
  const { initCa } = await import('../../ca/init.ts');
  await initCa({ dataDir, trustDomain: plan.trustDomain, passphrase });
}

async function becomeOperator({ dir, paths, log, ended, opened }: Startup): Promise<OwnIdentity> {
  const { bundleFile, caSocket: unixSocket, port } = paths;
  const access = { caAddress: port('ca'), unixSocket, bundleFile, dataDir: dir.folder('operator', 'up') };
  const operator = await openOperatorIdentity(access, log, ended);
  opened.push(operator);
  return operator;
}

/** One for each part that will attest by one; gives the way to make more. */
async function makeJoinTokens(
  { plan, dir, paths, log, opened }: Startup,
  operator: OwnIdentity,
): Promise<JoinTokenFor> {
  const registrar = connectService(registration, {
    address: paths.port('ca'),
    identity: operator,
    expect: partId(plan.trustDomain, 'ca'),
    log,
  });
  opened.push(registrar);
  const joinTokenFor: JoinTokenFor = async (name, spiffeId) => {
    const { token } = await registrar.createJoinToken({ spiffeId, ttlS: JOIN_TOKEN_TTL_S });
    return dir.write(`tokens/${name}`, token);
  };
  await joinTokenFor('collector', partId(plan.trustDomain, 'collector'));
  if (plan.mode === 'full') await joinTokenFor('authority', partId(plan.trustDomain, 'authority'));
  for (const { name, id } of plan.services) await joinTokenFor(name, id);
  return joinTokenFor;
}

/** Publishes the policy key, and the policy signed with it. */
async function publishPolicy({ plan, dir, paths, log, opened }: Startup, operator: OwnIdentity): Promise<PolicyKey> {
  const { port } = paths;
  const key = openPolicyKey(dir.file('operator', 'policy-key.pem'));
  const publisher = connectService(certificateAuthority, {
    address: port('ca'),
    identity: operator,
    expect: partId(plan.trustDomain, 'ca'),
    log,
  });
  opened.push(publisher);
  await publisher.publishKeys({ keysJson: JSON.stringify({ policy_keys: [key.publicJwk] }) });
  const endpoints = new Map(plan.services.map(({ name }) => [name, [port(`${name}/mesh`)]]));
  const collector = { id: partId(plan.trustDomain, 'collector'), address: port('collector') };
  await putSnapshot({ directory: dir.path, operator, collector, key, files: plan.policy, endpoints, log });
  return key;
}
