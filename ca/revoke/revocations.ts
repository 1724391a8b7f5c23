/**
 * Revocation of workloads, WITs and certificates: kept here, so that what is revoked cannot renew, and sent through the
 * authority's signed live state, so that peers refuse it (WIRE.md section 3).
 */
import type { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../../errors/index.ts';
import { parseSpiffeId, type SpiffeId } from '../../identity/index.ts';
import { type Caller, requireCaller } from '../../identity/mtls/index.ts';
import type { RevokeRequest } from '../../proto/behalf/ca/v1/ca.ts';
import { CLOCK_JUMP_S, LIFE_BOUNDS } from '../config.ts';
import { type IssuedRecord, issuedBySerial, latestEnd } from '../issue/issued.ts';

/** What this authority may revoke. */
export type OwnKind = 'workload' | 'wit' | 'cert' | 'kid';

export interface OwnRevocation {
  readonly kind: OwnKind;
  readonly value: string;
  /** Seconds; hits what was issued at or before. */
  readonly before: number;
}

/** Past the last certificate's end, for clocks that differ and chains that still run. */
const KEEP_S = 600;
const MAX_VALUE_LENGTH = 256;
const SHA256_BASE64URL_LENGTH = 43;
/** A ban stands until it is lifted. */
const NEVER_S = Number.MAX_SAFE_INTEGER;

/** What an operator's request is held against. */
export interface RevocationContext {
  readonly database: DatabaseSync;
  readonly nowS: number;
  /** Whether WITs are signed, or were, with a key of this name. */
  readonly isWitKey: (kid: string) => boolean;
}

/**
 * Takes an operator's request.
 * @throws {BehalfError} `request_malformed`, `spiffe_id_invalid`, `not_found` for a serial or key that is not of this authority
 */
export function parseRevocation(
  { kind, value, ban }: RevokeRequest,
  { database, nowS, isWitKey }: RevocationContext,
): OwnRevocation {
  const before = Math.floor(nowS);
  if (ban && kind !== 'workload') throw new BehalfError('request_malformed', { member: 'ban', why: 'for workloads' });
  switch (kind) {
    case 'serial': {
      const issued = issuedBySerial(database, value.toLowerCase());
      if (issued === null) throw new BehalfError('not_found', { what: 'certificate that has not ended' });
      return { kind: 'cert', value: issued.certificateS256, before };
    }
    case 'kid':
      if (!isWitKey(value)) throw new BehalfError('not_found', { what: 'WIT key' });
      // Who holds the key writes any `iat`: all of it is hit, for as long as anyone may still know the key.
      return { kind, value, before: before + LIFE_BOUNDS.maxS + KEEP_S };
    case 'workload':
      return { kind, value: parseSpiffeId(value), before };
    case 'wit':
      if (value === '' || value.length > MAX_VALUE_LENGTH) break;
      return { kind, value, before };
    case 'cert':
      if (value.length !== SHA256_BASE64URL_LENGTH) break;
      return { kind, value, before };
    default:
      throw new BehalfError('request_malformed', { member: 'kind', why: 'not workload, wit, cert, serial or kid' });
  }
  throw new BehalfError('request_malformed', { member: 'value', why: `not a value of kind ${kind}` });
}

/** When nothing that it hits can verify any more, seconds. What is not in the books may live as long as anything may. */
export function forgetAt(database: DatabaseSync, { kind, value, before }: OwnRevocation): number {
  const latest = kind === 'kid' ? null : latestEnd(database, kind, value);
  return (latest ?? before + LIFE_BOUNDS.maxS) + KEEP_S;
}

/** Keeps a revocation; of two of the same value the one that hits more counts. */
export function keepRevocation(database: DatabaseSync, revocation: OwnRevocation, forgetAtS: number): void {
  database.prepare('DELETE FROM revocations WHERE forget_at_s < ?').run(revocation.before - CLOCK_JUMP_S);
  database
    .prepare(`INSERT INTO revocations (kind, value, before_s, forget_at_s) VALUES (?, ?, ?, ?) ON CONFLICT (kind, value) DO UPDATE
       SET before_s = max(before_s, excluded.before_s), forget_at_s = max(forget_at_s, excluded.forget_at_s)`)
    .run(revocation.kind, revocation.value, revocation.before, forgetAtS);
}

/**
 * Who calls, if that identity still stands. A connection, and a certificate that does not renew, live on after the revocation;
 * with them a revoked operator could make a token for an identity that nobody has revoked.
 * @throws {BehalfError} `peer_unauthenticated`, `peer_revoked`
 */
export function requireStanding(database: DatabaseSync, caller: Caller): SpiffeId {
  const spiffeId = requireCaller(caller);
  const { serialHex, certificateS256 } = caller;
  const issued = serialHex === null ? null : issuedBySerial(database, serialHex);
  // One that is not in our books has no known time of issue: every revocation of its workload hits it.
  checkNotRevoked(database, issued ?? { serialHex, spiffeId, certificateS256, witJti: '', issuedS: 0 });
  return spiffeId;
}

type Revocable = { readonly [K in 'serialHex' | 'certificateS256']: IssuedRecord[K] | null } & Pick<
  IssuedRecord,
  'spiffeId' | 'witJti' | 'issuedS'
>;

/** @throws {BehalfError} `peer_revoked` if the certificate, its WIT or its workload was revoked */
export function checkNotRevoked(database: DatabaseSync, issued: Revocable): void {
  const row = database
    .prepare(
      `SELECT kind FROM revocations WHERE before_s >= ? AND
       ((kind = 'workload' AND value = ?) OR (kind = 'wit' AND value = ?) OR (kind = 'cert' AND value = ?))`,
    )
    .get(issued.issuedS, issued.spiffeId, issued.witJti, issued.certificateS256);
  if (row !== undefined) throw new BehalfError('peer_revoked', { kind: String(row['kind']), serial: issued.serialHex });
}

/** The latest second whose issuances a revocation of the workload hits; 0 for none. A revoked WIT key signs nothing any more. */
export function lastRevokedSecond(database: DatabaseSync, workload: SpiffeId): number {
  const row = database
    .prepare("SELECT max(before_s) AS latest FROM revocations WHERE kind = 'workload' AND value = ?")
    .get(workload);
  return Number(row?.['latest'] ?? 0);
}

/** The revocation of a WIT key, and when it is forgotten; null where it was not revoked. One that still signs is to be replaced. */
export function revocationOfKey(
  database: DatabaseSync,
  kid: string,
): { readonly revocation: OwnRevocation; readonly forgetAtS: number } | null {
  const row = database
    .prepare("SELECT before_s, forget_at_s FROM revocations WHERE kind = 'kid' AND value = ?")
    .get(kid);
  if (row === undefined) return null;
  return {
    revocation: { kind: 'kid', value: kid, before: Number(row['before_s']) },
    forgetAtS: Number(row['forget_at_s']),
  };
}

/** Nothing is issued to a banned workload until the ban is lifted; of two bans the first stays. */
export function keepBan(database: DatabaseSync, workload: SpiffeId, nowS: number): void {
  database
    .prepare(
      "INSERT INTO revocations (kind, value, before_s, forget_at_s) VALUES ('ban', ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .run(workload, Math.floor(nowS), NEVER_S);
}

/** @throws {BehalfError} `not_found` */
export function liftBan(database: DatabaseSync, workload: SpiffeId): void {
  const { changes } = database.prepare("DELETE FROM revocations WHERE kind = 'ban' AND value = ?").run(workload);
  if (changes === 0) throw new BehalfError('not_found', { what: 'ban', workload });
}

/** @throws {BehalfError} `peer_revoked` */
export function checkNotBanned(database: DatabaseSync, workload: SpiffeId): void {
  const row = database.prepare("SELECT 1 FROM revocations WHERE kind = 'ban' AND value = ?").get(workload);
  if (row !== undefined) throw new BehalfError('peer_revoked', { kind: 'ban', workload });
}
