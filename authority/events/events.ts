/**
 * What the authority puts on record: changes of consents, revocations, keys. People appear as pseudonyms; a revoked value that
 * is about a person appears as its hash.
 */
import { hash, randomBytes } from 'node:crypto';
import type { ConsentChanged, KeyChanged, RevocationIssued } from '../../proto/behalf/audit/v1/audit.ts';
import type { Consent } from '../consent/consents.ts';
import type { HashedChange } from '../consent/history.ts';
import type { Stated } from '../consent/revocations.ts';

/** The bodies of `Event` that the authority writes. */
export type AuthorityEvent =
  | { readonly body: 'consent'; readonly consent: ConsentChanged }
  | { readonly body: 'revocation'; readonly revocation: RevocationIssued }
  | { readonly body: 'key'; readonly key: KeyChanged };

/** Resolves when the event survives the death of this process. @throws {BehalfError} `audit_unavailable` */
export type RecordEvent = (event: AuthorityEvent) => Promise<void>;

/** The event of one change of a consent. `subject` is the user's pseudonym in the mesh. */
export function consentEvent(change: HashedChange, consent: Consent, subject: string): AuthorityEvent {
  return {
    body: 'consent',
    consent: {
      change: change.change,
      version: change.version,
      scopes: change.scopes,
      untilS: change.untilS,
      hash: change.hash,
      personal: {
        salt: randomBytes(16),
        subject,
        clientId: consent.clientId,
        consentId: consent.id,
        consentVersion: change.version,
        grant: '',
        purpose: consent.purpose,
      },
    },
  };
}

/** The event of a revocation that live state has taken over. */
export function revocationEvent({ revocation, number, by, reason }: Stated): AuthorityEvent {
  const value = revocation.kind === 'kid' ? revocation.value : hash('sha256', revocation.value, 'base64url');
  return { body: 'revocation', revocation: { kind: revocation.kind, value, number, by, reason } };
}

/** The event of a key. That it entered or left the bundle is the CA's to say. */
export function keyEvent(use: string, kid: string, change: 'made' | 'retired' | 'forgotten'): AuthorityEvent {
  return { body: 'key', key: { use, kid, change } };
}
