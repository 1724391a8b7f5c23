/**
 * Renewal: a valid SVID of ours is the attestation, and brings the same identity again. It must still be wanted: not revoked,
 * and its registration entry not deleted.
 */
import type { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../../errors/index.ts';
import { type Caller, requireCaller } from '../../identity/mtls/index.ts';
import { entryLifeS } from '../entries/entries.ts';
import { issuedBySerial } from '../issue/issued.ts';
import { checkNotRevoked } from '../revoke/revocations.ts';
import type { Attestation } from './attestation.ts';

/**
 * Gives the caller's identity again, with the life that its entry gives now.
 * @throws {BehalfError} `peer_unauthenticated`, `attestation_failed` for a certificate that is not in our books,
 * *   or one that has ended, `peer_revoked`, `entry_not_found`
 */
export function attestRenewal(database: DatabaseSync, caller: Caller, nowS: number): Attestation {
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
  // The connection was judged when it began, and a timer that ends it may come late where the machine slept.
  if (!(nowS <= issued.notAfterS)) {
    throw new BehalfError('attestation_failed', { attestor: 'svid', why: 'it has ended', serial: issued.serialHex });
  }
  const ttlS = issued.entryId === null ? 0 : entryLifeS(database, issued.entryId);
  if (ttlS === null) {
    throw new BehalfError('entry_not_found', { why: 'its entry was deleted', entry: issued.entryId });
  }
  return {
    attestor: 'svid',
    spiffeId,
    selectors: [`svid:serial:${issued.serialHex}`],
    entryId: issued.entryId,
    ttlS,
  };
}
