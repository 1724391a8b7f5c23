/**
 * What the attacker holds, all of it real: the files of the compromised `middle`, each chain that its sidecar received, workloads
 * that he registered, tokens of users who trusted his client; and the two ways in which he sends things.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { pino } from 'pino';
import { chainIdOf } from '../../../../audit/event/index.ts';
import { attestWorkload, createHops, exchangeToken } from '../../../../cli/story/intruder/workload.ts';
import { trustDomainOf } from '../../../../identity/index.ts';
import { readStoredIdentity } from '../../../../identity/own/identity-store.ts';
import { assembleIdentity } from '../../../../identity/own/issued-identity.ts';
import type { OwnIdentity } from '../../../../identity/own/own-identity.ts';
import type { CurlCredentials } from '../../../mesh/curl.ts';
import { foreignCertificate } from '../../../mesh/foreign-ca.ts';
import type { RunningMesh } from '../../../mesh/running-mesh.ts';
import { workload } from '../../../mesh/two-services.ts';
import { USERS, type User } from '../breach-mesh.ts';
import type { Beyond } from './beyond.ts';
import { bare, extend, type Fields, linksOf, partOf } from './forge.ts';
import { outcomeOf, type RawAnswer, type RawRequest, sendRaw } from './raw-http.ts';

/** What has ended is still taken for 5 s. */
const EXPIRY_GRACE_S = 6;

const log = pino({ level: 'silent' });

export interface Scene {
  readonly running: RunningMesh;
  readonly beyond: Beyond;
  /** The compromised workload, from the files beside its sidecar. */
  readonly middle: OwnIdentity;
  readonly mallory: OwnIdentity;
  readonly probe: OwnIdentity;
  readonly tokens: Readonly<Record<User, string>>;
  readonly foreign: CurlCredentials & { readonly key: string; readonly cert: string };
  /** The chain from `front` that `middle`'s sidecar got for a fresh request of that user. */
  captured(user?: User): Promise<Fields>;
  /** The same, rightly handed on to `back`. */
  handedOn(user?: User): Promise<Fields>;
  /** A chain that the entry workload `probe` made for itself of a user's token; for `back` unless the claims say otherwise. */
  ofProbe(claims?: Readonly<Record<string, unknown>>, user?: User): Promise<Fields>;
  /** A user's request at the entry. */
  enter(path: string, user: User, lines?: readonly string[]): Promise<RawAnswer>;
  /** The same at the entry of `desk`, with a token or other lines, and a client's certificate if any. */
  enterDesk(
    path: string,
    lines: readonly string[],
    as?: { readonly key: string; readonly cert: string },
  ): Promise<RawAnswer>;
  /** One request at the mTLS port of `victim`. */
  present(fields: Partial<Fields>, options: PresentOptions): Promise<string>;
  send(request: RawRequest): Promise<RawAnswer>;
  nextHop(): string;
  outcome(answer: RawAnswer): string;
  /** Where users enter, `host:port`. */
  readonly entry: string;
  /** The handle that `front`'s app got for a request of that user; `alsoAt`: another pod has a request of the user too. */
  handle(user: User, options?: { readonly alsoAt?: string }): Promise<string>;
  /** Whom the app is told that it works for. */
  subjectOf(user: User): Promise<string>;
  credentials(of: OwnIdentity): { readonly key: string; readonly cert: string };
  slotOf(fields: Fields): string;
  /** base64url SHA-256 of the certificate that a service's sidecar shows. */
  certificateOf(service: string): Promise<string>;
  /** A chain of middle's that has ended by now. */
  oldChain(): Promise<Fields>;
  log: typeof log;
  close(): Promise<void>;
}

export interface PresentOptions {
  /** With whose key and certificate; null without any. */
  readonly as: OwnIdentity | { readonly key: string; readonly cert: string } | null;
  readonly to?: string;
  readonly path?: string;
  readonly hop?: string;
  /** Further header lines. */
  readonly lines?: readonly string[];
  readonly trailers?: readonly string[];
}

export async function setScene(running: RunningMesh, beyond: Beyond, captureFile: string): Promise<Scene> {
  const [ada, bob, cyd] = await Promise.all(
    (['ada', 'bob', 'cyd'] as const).map(async (user) => (await running.signIn(user, USERS[user])).accessToken),
  );
  const tokens = { ada: ada!, bob: bob!, cyd: cyd! };
  const mesh = { mesh: running.mesh, log };
  const mallory = await attestWorkload(mesh, 'mallory', workload('mallory'));
  const probe = await attestWorkload(mesh, 'probe', workload('probe'));
  const middle = stolenIdentity(running.mesh.dir.file('sidecars', 'middle'));
  const { key, cert } = foreignCertificate(running.mesh.dir.folder('other-ca'), workload('middle'));
  const foreign = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  const hops = createHops();
  const nextHop = (): string => hops().header;

  const enter = (path: string, user: User, lines: readonly string[] = []): Promise<RawAnswer> =>
    sendRaw({
      address: addressOf(running.service('front').entry),
      path,
      lines: [`Authorization: Bearer ${tokens[user]}`, ...lines],
    });

  async function captured(user: User = 'ada'): Promise<Fields> {
    const before = capturedLines(captureFile).length;
    const { status, body } = await enter('/stop', user);
    const lines = capturedLines(captureFile);
    if (status !== 200 || lines.length === before) throw new Error(`nothing captured: ${status} ${body.slice(0, 200)}`);
    return JSON.parse(lines.at(-1)!) as Fields;
  }

  const first = extend(await captured(), middle.current(), workload('back'));
  return {
    running,
    beyond,
    middle,
    mallory,
    probe,
    tokens,
    foreign,
    captured,
    handedOn: async (user) => extend(await captured(user), middle.current(), workload('back')),
    async ofProbe(claims, user = 'ada') {
      const root = await exchangeToken(mesh, probe, tokens[user], 'notes:read notes:write');
      return extend(bare(root.parent.txnToken), probe.current(), workload('back'), claims);
    },
    enter,
    enterDesk: (path, lines, as) => {
      const address = addressOf(running.service('desk').entry);
      return sendRaw({ address, host: address, tls: as ?? null, path, lines });
    },
    async present(fields, { as, to = 'back', path = '/notes', hop = nextHop(), lines = [], trailers }) {
      const own = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
      return outcomeOf(
        await sendRaw({
          address: running.service(to).mesh,
          tls: credentialsOf(as),
          path,
          lines: [...own, `Delegation-Hop: ${hop}`, ...lines],
          ...(trailers === undefined ? {} : { trailers }),
        }),
      );
    },
    send: sendRaw,
    nextHop,
    outcome: outcomeOf,
    entry: addressOf(running.service('front').entry),
    async handle(user, options = {}) {
      if (options.alsoAt !== undefined) await enter('/stop', user);
      return leaked(await enter('/leak', user), 'delegation-context');
    },
    subjectOf: async (user) => leaked(await enter('/leak', user), 'delegation-subject'),
    credentials: (of) => credentialsOf(of)!,
    slotOf: (fields) =>
      chainIdOf({
        txnToken: fields['txn-token'],
        delegationChain: fields['delegation-chain'],
        delegationCredentials: fields['delegation-credentials'],
      }).toString('base64url'),
    certificateOf: (service) => certificateAt(running.service(service).mesh, credentialsOf(probe)!),
    async oldChain() {
      const { exp } = partOf(linksOf(first).at(-1)!, 1) as { exp: number };
      const endsInMs = (exp + EXPIRY_GRACE_S) * 1000 - Date.now();
      if (endsInMs > 0) await sleep(endsInMs);
      return first;
    },
    log,
    async close() {
      await mallory.close();
      await probe.close();
    },
  };
}

export function addressOf(url: string | null): string {
  return new URL(url ?? '').host;
}

/** Whoever reads this file is that workload. */
function stolenIdentity(dataDir: string): OwnIdentity {
  const stored = readStoredIdentity(dataDir);
  if (stored === null || stored.issuance === null) throw new Error(`nothing to steal in ${dataDir}`);
  const identity = assembleIdentity(stored.issuance, stored.bundle, Date.now() / 1000);
  return {
    spiffeId: identity.spiffeId,
    trustDomain: trustDomainOf(identity.spiffeId),
    current: () => identity,
    bundle: () => stored.bundle,
    onChange: () => () => undefined,
    close: async () => undefined,
  };
}

function credentialsOf(as: PresentOptions['as']): { key: string; cert: string } | null {
  if (as === null) return null;
  if ('key' in as) return as;
  const { privateKeyPem, certificateChainPem } = as.current();
  return { key: privateKeyPem, cert: certificateChainPem };
}

function capturedLines(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [];
}

/** What an app of the attacker's saw in a header field. */
export function leaked({ status, body }: RawAnswer, name: string): string {
  const fields = status === 200 ? (JSON.parse(/\{.*\}/s.exec(body)?.[0] ?? '{}') as { fields?: string[] }).fields : [];
  const at = fields?.findIndex((field, i) => i % 2 === 0 && field.toLowerCase() === name) ?? -1;
  if (at < 0) throw new Error(`no ${name}: ${status} ${body.slice(0, 200)}`);
  return fields![at + 1]!;
}

function certificateAt(address: string, credentials: { key: string; cert: string }): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host, port: Number(port), ...credentials, rejectUnauthorized: false }, () => {
      resolve(createHash('sha256').update(socket.getPeerCertificate().raw).digest('base64url'));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}
