/** The books: every certificate that has not ended yet, by serial. Renewal and revocation look here. */
import type { DatabaseSync } from 'node:sqlite';
import { parseSpiffeId, type SpiffeId } from '../../identity/index.ts';
import { CLOCK_JUMP_S } from '../config.ts';
import type { IssuedSvid } from './issuer.ts';

export interface IssuedRecord {
  readonly serialHex: string;
  readonly spiffeId: SpiffeId;
  readonly entryId: string | null;
  readonly certificateS256: string;
  readonly witJti: string;
  readonly issuedS: number;
  readonly notAfterS: number;
}

/** Books an issuance and forgets what ended. Done before the SVID leaves: one that we sent can always be renewed or revoked. */
export function recordIssued(database: DatabaseSync, svid: IssuedSvid, entryId: string | null): void {
  database.prepare('DELETE FROM issued WHERE not_after_s < ?').run(svid.issuedS - CLOCK_JUMP_S);
  database
    .prepare(
      'INSERT INTO issued (serial, spiffe_id, entry_id, certificate_s256, wit_jti, issued_s, not_after_s) VALUES (?, ?, ?, ?, ?, ?, ?)',
    )
    .run(svid.serialHex, svid.spiffeId, entryId, svid.certificateS256, svid.witJti, svid.issuedS, svid.notAfterS);
}

export function issuedBySerial(database: DatabaseSync, serialHex: string): IssuedRecord | null {
  const row = database.prepare('SELECT * FROM issued WHERE serial = ?').get(serialHex);
  if (row === undefined) return null;
  return {
    serialHex,
    spiffeId: parseSpiffeId(row['spiffe_id']),
    entryId: row['entry_id'] === null ? null : String(row['entry_id']),
    certificateS256: String(row['certificate_s256']),
    witJti: String(row['wit_jti']),
    issuedS: Number(row['issued_s']),
    notAfterS: Number(row['not_after_s']),
  };
}

/** Latest end of what a revocation of that kind would hit, seconds; null if nothing stands in the books. */
export function latestEnd(database: DatabaseSync, kind: 'workload' | 'wit' | 'cert', value: string): number | null {
  const column = { workload: 'spiffe_id', wit: 'wit_jti', cert: 'certificate_s256' }[kind];
  const row = database.prepare(`SELECT max(not_after_s) AS latest FROM issued WHERE ${column} = ?`).get(value);
  return row === undefined || row['latest'] === null ? null : Number(row['latest']);
}
