/**
 * The form of a test vector (`test/vectors/chain/*.json`): all that a verifier is told about one call, and what it must answer.
 * Read as plain JSON from a file of ours or of a stranger; policy is not run.
 */
import type { webcrypto } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { isHopId } from '../hop-id/index.ts';
import type { RevocationKind } from '../revocation/index.ts';

/** A public JWK with its name. */
export interface VectorKey extends webcrypto.JsonWebKey {
  readonly kid?: string;
}

export interface VectorRevocation {
  readonly kind: RevocationKind;
  readonly value: string;
  /** Absent only where a `version` decides. */
  readonly before?: number;
  readonly version?: number;
}

export type VectorExpectation =
  | { readonly ok: true; readonly sub: string; readonly scope: string; readonly depth: number }
  | { readonly ok: false; readonly code: string };

export interface ChainVector {
  readonly name: string;
  /** The sentence of `docs/delegation-chain.md` that it tests. */
  readonly says: string;
  /** The verifier's clock, seconds. */
  readonly at: number;
  readonly trust_domain: string;
  readonly issuer: string;
  readonly audience: string;
  readonly me: string;
  /** Certificates as base64url SHA-256 of their DER; the peer is null where it presented none. */
  readonly my_certificate: string;
  readonly peer: string | null;
  readonly peer_certificate: string | null;
  readonly authority_jwks: { readonly keys: readonly VectorKey[] };
  /** SPIFFE bundle: of it the `wit-svid` keys count. */
  readonly bundle: { readonly keys: readonly VectorKey[] };
  /** Header values as received, null where absent. */
  readonly txn_token: string | null;
  readonly delegation_chain: string | null;
  readonly delegation_credentials: string | null;
  readonly delegation_hop: string | null;
  readonly revocations: readonly VectorRevocation[];
  /** As of when the live state is known, seconds; null where there is none. */
  readonly revocations_at: number | null;
  readonly allow_batch: boolean;
  /** `"<METHOD> <template>"` of the matched route, or null. */
  readonly route: string | null;
  /** `jti`s of once-only links that this peer has used. */
  readonly seen_jti: readonly string[];
  /** Hop ids that this peer has used; a whole `Delegation-Hop` value stands for its hop id. */
  readonly seen_hops: readonly string[];
  /** Absent where somebody asks instead of tells. */
  readonly expect?: VectorExpectation;
}

type Test = (value: unknown) => boolean;

const MEMBERS: { readonly [K in keyof ChainVector]-?: Test } = {
  name: isText,
  says: isText,
  at: isNumber,
  trust_domain: isText,
  issuer: isText,
  audience: isText,
  me: isText,
  my_certificate: isText,
  peer: isTextOrNull,
  peer_certificate: isTextOrNull,
  authority_jwks: hasKeys,
  bundle: hasKeys,
  txn_token: isTextOrNull,
  delegation_chain: isTextOrNull,
  delegation_credentials: isTextOrNull,
  delegation_hop: isTextOrNull,
  revocations: (value) => Array.isArray(value) && value.every(isRevocation),
  revocations_at: (value) => value === null || isNumber(value),
  allow_batch: (value) => typeof value === 'boolean',
  route: isTextOrNull,
  seen_jti: isTextList,
  seen_hops: (value) => isTextList(value) && (value as string[]).every(namesHop),
  expect: (value) => value === undefined || isExpectation(value),
};

const KINDS: ReadonlySet<unknown> = new Set<RevocationKind>([
  'txn',
  'sub',
  'client',
  'consent',
  'grant',
  'deferred',
  'kid',
  'workload',
  'wit',
  'cert',
]);

/**
 * Takes the parsed JSON of a vector file.
 * @throws {BehalfError} `request_malformed` naming the member at fault
 */
export function parseVector(value: unknown): ChainVector {
  if (!isRecord(value)) throw new BehalfError('request_malformed', { why: 'a vector is a JSON object' });
  for (const [name, test] of Object.entries(MEMBERS)) {
    if (!test(value[name]))
      throw new BehalfError('request_malformed', { member: name, why: 'missing or of another type' });
  }
  return value as unknown as ChainVector;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function isTextOrNull(value: unknown): boolean {
  return value === null || isText(value);
}

function isTextList(value: unknown): boolean {
  return Array.isArray(value) && value.every(isText);
}

function namesHop(value: string): boolean {
  return isHopId(hopIdOfSeen(value));
}

/** The hop id of an entry of `seen_hops`. */
export function hopIdOfSeen(value: string): string {
  const end = value.indexOf('.');
  return end === -1 ? value : value.slice(0, end);
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value);
}

function hasKeys(value: unknown): boolean {
  return isRecord(value) && Array.isArray(value['keys']) && value['keys'].every(isRecord);
}

function isRevocation(value: unknown): boolean {
  if (!isRecord(value) || !KINDS.has(value['kind']) || !isText(value['value'])) return false;
  if (value['version'] !== undefined && !isNumber(value['version'])) return false;
  return isNumber(value['before']) || (value['before'] === undefined && value['version'] !== undefined);
}

function isExpectation(value: unknown): boolean {
  if (!isRecord(value)) return false;
  if (value['ok'] === false) return isText(value['code']);
  return value['ok'] === true && isText(value['sub']) && isText(value['scope']) && isNumber(value['depth']);
}
