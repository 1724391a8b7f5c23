/** Reading and making live-state statements (`live-state.ts` owns the shapes). Nothing is believed before its signature is. */
import type { Revocation, RevocationKind } from '../delegation/revocation/index.ts';
import { BehalfError } from '../errors/index.ts';
import {
  type MeshBundle,
  type SignedStatement,
  type StatementKey,
  signStatement,
  verifyStatement,
} from '../identity/index.ts';
import type { LiveStateEntry, LiveStateHeartbeat, LiveStateSource } from './live-state.ts';

/** Largest payload of an entry or heartbeat, in bytes. */
const MAX_STATEMENT_BYTES = 4_096;

export const LIVE_STATE_SOURCES: readonly LiveStateSource[] = ['authority', 'ca'];

const KINDS: Readonly<Record<RevocationKind, true>> = {
  txn: true,
  sub: true,
  client: true,
  consent: true,
  grant: true,
  deferred: true,
  kid: true,
  workload: true,
  wit: true,
  cert: true,
};

export function signEntry(entry: LiveStateEntry, by: StatementKey): SignedStatement {
  return signStatement('live-state-entry', Buffer.from(JSON.stringify(entry), 'utf8'), by);
}

export function signHeartbeat(heartbeat: LiveStateHeartbeat, by: StatementKey): SignedStatement {
  return signStatement('live-state-heartbeat', Buffer.from(JSON.stringify(heartbeat), 'utf8'), by);
}

/**
 * The entry of a statement that the source signed.
 * @throws {BehalfError} `statement_untrusted`
 */
export function verifyEntry(statement: SignedStatement, source: LiveStateSource, bundle: MeshBundle): LiveStateEntry {
  verifyStatement('live-state-entry', statement, bundle.liveStateKeys[source]);
  return parseEntry(statement.payload, source);
}

/**
 * The heartbeat of a statement that the source signed.
 * @throws {BehalfError} `statement_untrusted`
 */
export function verifyHeartbeat(
  statement: SignedStatement,
  source: LiveStateSource,
  bundle: MeshBundle,
): LiveStateHeartbeat {
  verifyStatement('live-state-heartbeat', statement, bundle.liveStateKeys[source]);
  return parseHeartbeat(statement.payload, source);
}

/**
 * Reads an entry's payload. Members that we do not know are let pass: an entry that were skipped would be a withdrawal lost.
 * @throws {BehalfError} `statement_untrusted` where it is malformed or names another source
 */
export function parseEntry(payload: Buffer, source: LiveStateSource): LiveStateEntry {
  const object = readPayload(payload, source);
  return {
    source,
    number: count(object['number'], 'number', 1),
    at: time(object['at'], 'at'),
    revocation: readRevocation(object['revocation']),
    forget_at: time(object['forget_at'], 'forget_at'),
  };
}

/**
 * Reads a heartbeat's payload.
 * @throws {BehalfError} `statement_untrusted` where it is malformed or names another source
 */
export function parseHeartbeat(payload: Buffer, source: LiveStateSource): LiveStateHeartbeat {
  const object = readPayload(payload, source);
  const number = count(object['number'], 'number', 0);
  const keptFrom = count(object['kept_from'], 'kept_from', 1);
  if (keptFrom > number + 1) throw malformed('kept_from lies past the newest entry');
  return { source, number, kept_from: keptFrom, at: time(object['at'], 'at') };
}

function readPayload(payload: Buffer, source: LiveStateSource): Record<string, unknown> {
  if (payload.length > MAX_STATEMENT_BYTES) throw malformed('too large');
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch (cause) {
    throw new BehalfError('statement_untrusted', { why: 'not JSON' }, { cause });
  }
  const object = record(value);
  if (object['source'] !== source) throw malformed('names another source');
  return object;
}

function readRevocation(value: unknown): Revocation {
  const object = record(value);
  const { kind, value: hit, version } = object;
  if (typeof kind !== 'string' || !Object.hasOwn(KINDS, kind)) throw malformed('unknown kind of revocation');
  if (typeof hit !== 'string' || hit === '') throw malformed('revocation has no value');
  const revocation = { kind: kind as RevocationKind, value: hit, before: time(object['before'], 'before') };
  return version === undefined ? revocation : { ...revocation, version: count(version, 'version', 0) };
}

function record(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('not an object');
  return value as Record<string, unknown>;
}

function count(value: unknown, member: string, least: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < least) throw malformed(`${member} is no such number`);
  return value as number;
}

function time(value: unknown, member: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw malformed(`${member} is no time`);
  return value;
}

function malformed(why: string): BehalfError {
  return new BehalfError('statement_untrusted', { why });
}
