/**
 * Renewal: a valid SVID of ours is the attestation, and brings the same identity again. It must still be wanted: not revoked,
 * and its registration entry not deleted.
 */
import type { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../../errors/index.ts';
import { type Caller, requireCaller } from '../../identity/mtls/index.ts';
import { entryExists } from '../entries/entries.ts';
import { issuedBySerial } from '../issue/issued.ts';
import { checkNotRevoked } from '../revoke/revocations.ts';
import type { Attestation } from './attestation.ts';

/**
 * Gives the caller's identity again.
 * @throws {BehalfError} `peer_unauthenticated`, `attestation_failed` for a certificate that is not in our books,
 *   `peer_revoked`, `entry_not_found`
 */
export function attestRenewal(database: DatabaseSync, caller: Caller): Attestation {
  const spiffeId = requireCaller(caller);
  const issued = caller.serialHex === null ? null : issuedBySerial(database, caller.serialHex);
  // Another authority under the same root may have issued it, or our books were restored from before it.
  if (issued === null || issued.spiffeId !== spiffeId || issued.certificateS256 !== caller.certificateS256) {
    throw new BehalfError('attestation_failed', {
      attestor: 'svid',
      why: 'not a certificate of this authority',
      serial: caller.serialHex,
    });
  }
  checkNotRevoked(database, issued);
  if (issued.entryId !== null && !entryExists(database, issued.entryId)) {
    throw new BehalfError('entry_not_found', { why: 'its entry was deleted', entry: issued.entryId });
  }
  return {
    attestor: 'svid',
    spiffeId,
    selectors: [`svid:serial:${issued.serialHex}`],
    entryId: issued.entryId,
    ttlS: 0,
  };
}
