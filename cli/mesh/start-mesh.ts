/**
 * The supervisor: starts the parts of a mesh on this machine, each a process of its own, in the order in which they need each
 * other, and ends all of them together. If one cannot start, none is left; if one ends by itself, the mesh says so.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Logger } from 'pino';
import { stringify } from 'yaml';
import { BehalfError } from '../../errors/index.ts';
import { partId } from '../../identity/index.ts';
import { connectService } from '../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import { certificateAuthority, registration } from '../../proto/behalf/ca/v1/ca.ts';
import { type Children, createChildren } from './children.ts';
import type { MeshFile, MeshService } from './mesh-file.ts';
import { openOperatorIdentity } from './operator.ts';
import { appAddress, type MeshPaths, sidecarConfig, trustOf } from './part-configs.ts';
import type { MeshPlan, ServicePlan } from './plan.ts';
import { openPolicyKey, type PolicyKey } from './policy-key.ts';
import { assignPorts } from './port-assignment.ts';
import { putSnapshot } from './put-snapshot.ts';
import { MESH_FILE, type StateDir } from './state-dir.ts';

const CA_PASSPHRASE = 'operator/ca-passphrase';
const AUTHORITY_PASSPHRASE = 'operator/authority-passphrase';
const CLI = new URL('../behalf.ts', import.meta.url).pathname;
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
  joinTokenFor(name: string, spiffeId: string): Promise<string>;
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
  const stopped = new AbortController();
  const opened: { close(): unknown }[] = [];
  const giveUp = (): void => void children.stop();
  signal?.addEventListener('abort', giveUp, { once: true });
  const stop = async (): Promise<void> => {
    stopped.abort();
    for (const one of opened) await one.close();
    await children.stop();
    dir.release();
  };
  try {
    const paths: MeshPaths = {
      dir,
      bundleFile: dir.file('ca', 'bundle.json'),
      caSocket: dir.socket('ca.sock'),
      port: await assignPorts(plan, dir),
    };
    opened.push({ close: paths.port.release });
    const part = (name: string, command: string, config: object) =>
      startPart(children, dir, nodeArgs(name), name, command, config);

    progress('certificate authority');
    await initCaOnce(dir, plan);
    await part('ca', 'ca', {
      dataDir: dir.folder('ca'),
      trustDomain: plan.trustDomain,
      listen: paths.port('ca'),
      unixSocket: paths.caSocket,
      passphraseFile: dir.file(CA_PASSPHRASE),
      collectorAddress: paths.port('collector'),
      ...(plan.certificateTtlS === undefined ? {} : { ttlS: plan.certificateTtlS, allowShortLives: true }),
    });
    const operator = await openOperatorIdentity(
      {
        caAddress: paths.port('ca'),
        unixSocket: paths.caSocket,
        bundleFile: paths.bundleFile,
        dataDir: dir.folder('operator', 'up'),
      },
      log,
      stopped.signal,
    );
    opened.push(operator);
    const ca = { address: paths.port('ca'), identity: operator, expect: partId(plan.trustDomain, 'ca'), log };
    const registrar = connectService(registration, ca);
    opened.push(registrar);
    const joinTokenFor = async (name: string, spiffeId: string): Promise<string> => {
      const { token } = await registrar.createJoinToken({ spiffeId, ttlS: JOIN_TOKEN_TTL_S });
      return dir.write(`tokens/${name}`, token);
    };
    await joinTokenFor('collector', partId(plan.trustDomain, 'collector'));
    if (plan.mode === 'full') await joinTokenFor('authority', partId(plan.trustDomain, 'authority'));
    for (const { name, id } of plan.services) await joinTokenFor(name, id);

    progress(plan.mode === 'full' ? 'collector and authority' : 'collector');
    const [, authority] = await Promise.all([
      part('collector', 'collector', {
        trust: trustOf(paths, plan, 'collector'),
        dataDir: dir.folder('collector'),
        listen: paths.port('collector'),
      }),
      plan.mode === 'full' ? part('authority', 'authority', authorityConfig(paths, plan)) : null,
    ]);

    progress('policy');
    const policyKey = openPolicyKey(dir.file('operator', 'policy-key.pem'));
    const publisher = connectService(certificateAuthority, ca);
    opened.push(publisher);
    await publisher.publishKeys({ keysJson: JSON.stringify({ policy_keys: [policyKey.publicJwk] }) });
    const endpoints = new Map(plan.services.map(({ name }) => [name, [paths.port(`${name}/mesh`)]]));
    const collector = { id: partId(plan.trustDomain, 'collector'), address: paths.port('collector') };
    await putSnapshot({ directory: dir.path, operator, collector, key: policyKey, files: plan.policy, endpoints, log });

    progress(`${plan.services.length} sidecars`);
    await Promise.all(
      plan.services.map((service) => part(`${service.name} sidecar`, 'sidecar', sidecarConfig(paths, plan, service))),
    );
    const programs = plan.services.filter(({ program }) => program !== undefined);
    if (programs.length > 0) progress('services');
    await Promise.all(programs.map((service) => startProgram(children, paths, nodeArgs(service.name), service)));

    const file: MeshFile = {
      version: 1,
      trustDomain: plan.trustDomain,
      pid: process.pid,
      bundleFile: paths.bundleFile,
      ca: { id: ca.expect, address: ca.address, unixSocket: paths.caSocket },
      authority: authority === null ? null : authorityFacts(paths, plan, authority.ready),
      collector: { ...collector, logDir: dir.file('collector', 'log') },
      services: plan.services.map((service) => serviceFacts(paths, service)),
    };
    dir.write(MESH_FILE, `${JSON.stringify(file, null, 2)}\n`);
    return { dir, plan, file, operator, policyKey, children, joinTokenFor, stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
}

/** Makes root, intermediate and bundle on the first start. The passphrase stands first: an interrupted start tries again with it. */
async function initCaOnce(dir: StateDir, plan: MeshPlan): Promise<void> {
  const passphrase = readFileSync(passphraseOnce(dir, CA_PASSPHRASE), 'utf8');
  const dataDir = dir.folder('ca');
  if (existsSync(dir.file('ca', 'bundle.json'))) return;
  const { initCa } = await import('../../ca/init.ts');
  await initCa({ dataDir, trustDomain: plan.trustDomain, passphrase });
}

/** The file with a random passphrase, made once: on one machine the file system's rights protect the keys, not a person's memory. */
function passphraseOnce(dir: StateDir, name: string): string {
  if (!existsSync(dir.file(name))) dir.write(name, randomBytes(24).toString('base64url'));
  return dir.file(name);
}

async function startPart(
  children: Children,
  dir: StateDir,
  nodeArgs: readonly string[],
  name: string,
  command: string,
  config: object,
) {
  const file = dir.write(`config/${name.replaceAll(' ', '-')}.yaml`, stringify(config));
  return children.start({
    name,
    command: process.execPath,
    args: [...nodeArgs, CLI, command, '--config', file, '--json'],
    environment: inherited(),
    isReady: 'ready-line',
  });
}

async function startProgram(children: Children, paths: MeshPaths, nodeArgs: readonly string[], service: ServicePlan) {
  const { name, calls, program } = service;
  const { port } = paths;
  const listen = port(`${name}/app`);
  const { command, args, environment, cwd, uid } = program!({
    listen,
    localApi: `http://${port(`${name}/local-api`)}`,
    shared: `http://${port(`${name}/shared`)}`,
    peers: Object.fromEntries(calls.map((peer) => [peer, `http://${port(`${name}/to/${peer}`)}`])),
  });
  return children.start({
    name,
    command,
    args: command === process.execPath ? [...nodeArgs, ...args] : args,
    environment: { ...inherited(), ...environment },
    isReady: () => canConnect(listen),
    ...(cwd === undefined ? {} : { cwd }),
    ...(uid === undefined ? {} : { uid }),
  });
}

/** What children get of our environment: where programs and temporary files are, and nothing that could configure a part. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'TZ', 'BEHALF_LOG_LEVEL', 'LD_PRELOAD', 'FAKETIME'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]!]])),
  );
}

function canConnect(address: string): Promise<boolean> {
  const [host, port] = [
    address.slice(0, address.lastIndexOf(':')),
    Number(address.slice(address.lastIndexOf(':') + 1)),
  ];
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket
      .once('connect', () => resolve(true))
      .once('error', () => resolve(false))
      .once('close', () => resolve(false));
    socket.setTimeout(1000, () => socket.destroy());
    socket.once('connect', () => socket.destroy());
  });
}

function authorityConfig(paths: MeshPaths, plan: MeshPlan): object {
  return {
    trust: trustOf(paths, plan, 'authority'),
    dataDir: paths.dir.folder('authority'),
    listen: paths.port('authority'),
    passphraseFile: passphraseOnce(paths.dir, AUTHORITY_PASSPHRASE),
    http: { listen: paths.port('authority/http') },
    collectorAddress: paths.port('collector'),
    devMode: true,
    accounts: [],
    clients: [],
    ...plan.authority,
  };
}

function authorityFacts(
  paths: MeshPaths,
  plan: MeshPlan,
  ready: Readonly<Record<string, unknown>>,
): NonNullable<MeshFile['authority']> {
  const { issuer, jwksUri } = ready;
  if (typeof issuer !== 'string' || typeof jwksUri !== 'string')
    throw new BehalfError('process_died', { process: 'authority', how: 'its ready line names no issuer' });
  return { id: partId(plan.trustDomain, 'authority'), address: paths.port('authority'), issuer, jwksUri };
}

function serviceFacts(paths: MeshPaths, service: ServicePlan): MeshService {
  const { name, id, calls, entry } = service;
  const url = (listener: string): string => `http://${paths.port(`${name}/${listener}`)}`;
  return {
    name,
    id,
    mesh: paths.port(`${name}/mesh`),
    localApi: url('local-api'),
    shared: url('shared'),
    entry: entry === undefined ? null : url('entry'),
    peers: Object.fromEntries(calls.map((peer) => [peer, url(`to/${peer}`)])),
    app: appAddress(paths, service),
  };
}
