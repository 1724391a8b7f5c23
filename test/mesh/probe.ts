/**
 * The workload `probe` of `twoServices`, without a sidecar: holds a real SVID and WIT, makes chains that are right in everything,
 * changes them as an attacker with a workload's key could, and presents them to `back` through curl.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pino } from 'pino';
import { attestWorkload, chainHeaders, createHops, exchangeToken } from '../../cli/story/intruder/workload.ts';
import type { SpiffeId } from '../../identity/index.ts';
import { signCompactJws } from '../../identity/jws.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import { type CurlAnswer, type CurlCredentials, curl, writeCredentials } from './curl.ts';
import type { RunningMesh } from './running-mesh.ts';
import { workload } from './two-services.ts';

/** Header fields by lower-case name. */
export type Fields = Readonly<Record<string, string>>;

export interface Presented {
  readonly answer: CurlAnswer;
  readonly hopId: Buffer;
}

export interface Probe {
  readonly identity: OwnIdentity;
  /** The chain of one link that the user's token gives, for `back` unless said otherwise; `details` are asked of its root. */
  chain(to?: SpiffeId, details?: string): Promise<Fields>;
  /** The chain with other claims in its link, signed anew with the probe's own WIT key. */
  withClaims(fields: Fields, claims: object): Fields;
  /** A fresh `Delegation-Hop`. */
  nextHop: ReturnType<typeof createHops>;
  /** One GET at `back`'s mTLS port; `as` another workload, with a hop of its own, unless said otherwise. */
  present(fields: Fields, options?: PresentOptions): Promise<Presented>;
}

export interface PresentOptions {
  readonly as?: OwnIdentity;
  readonly hop?: ReturnType<ReturnType<typeof createHops>>;
  readonly path?: string;
}

const SCOPE = 'notes:read';
const log = pino({ level: 'silent' });

/** Attests a workload that the policy names. Close it. */
export function attest({ mesh }: RunningMesh, name: string): Promise<OwnIdentity> {
  return attestWorkload({ mesh, log }, name, workload(name));
}

export async function startProbe(running: RunningMesh, accessToken: string): Promise<Probe> {
  const identity = await attest(running, 'probe');
  const nextHop = createHops();

  function filesOf(one: OwnIdentity): CurlCredentials {
    const { privateKeyPem, certificateChainPem, serialHex } = one.current();
    return writeCredentials(join(running.mesh.dir.folder('curl'), serialHex), privateKeyPem, certificateChainPem);
  }

  return {
    identity,
    nextHop,
    async chain(to = workload('back'), details = '') {
      const root = await exchangeToken({ mesh: running.mesh, log }, identity, accessToken, SCOPE, details);
      return chainHeaders(identity, root, to);
    },
    withClaims(fields, claims) {
      const [header, payload] = linkParts(fields);
      const jti = randomBytes(12).toString('base64url');
      const changed = { ...claimsOf(payload), jti, ...claims };
      return {
        ...fields,
        'delegation-chain': signCompactJws(claimsOf(header), changed, identity.current().witKey),
      };
    },
    async present(fields, { as = identity, hop = nextHop(), path = '/notes' } = {}) {
      const lines = fieldLines({ ...fields, 'delegation-hop': hop.header });
      const answer = await curl(`https://${running.service('back').mesh}${path}`, lines, filesOf(as));
      return { answer, hopId: hop.hopId };
    },
  };
}

/** As curl takes them. */
export function fieldLines(fields: Fields): string[] {
  return Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
}

/** Header, payload and signature of a chain's one link. */
export function linkParts(fields: Fields): [string, string, string] {
  return fields['delegation-chain']!.split('.') as [string, string, string];
}

export function claimsOf(payload: string): object {
  return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as object;
}
