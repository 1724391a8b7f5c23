/**
 * What the authority puts on record: changes of consents, revocations, keys. People appear as pseudonyms; a revoked value that
 * is about a person appears as its hash.
 */
import { hash, randomBytes } from 'node:crypto';
import type { Delegation } from '../../delegation/index.ts';
import type {
  ConsentChanged,
  DeferredChanged,
  KeyChanged,
  RevocationIssued,
  TokenIssued,
} from '../../proto/behalf/audit/v1/audit.ts';
import type { Consent } from '../consent/consents.ts';
import type { HashedChange } from '../consent/history.ts';
import type { Stated } from '../consent/revocations.ts';
import type { DeferredGrant } from '../deferred/grant.ts';

/** The bodies of `Event` that the authority writes. */
export type AuthorityEvent =
  | { readonly body: 'consent'; readonly consent: ConsentChanged }
  | { readonly body: 'revocation'; readonly revocation: RevocationIssued }
  | { readonly body: 'key'; readonly key: KeyChanged }
  | { readonly body: 'tokenIssued'; readonly tokenIssued: TokenIssued }
  | { readonly body: 'deferred'; readonly deferred: DeferredChanged };

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

/** What is known of a token for the outside that was made, or refused (`code`). */
export interface TokenTold {
  readonly exit: string;
  readonly audience: string;
  readonly workload: string;
  readonly code: string;
  /** The mesh's scopes that were left. */
  readonly scope: string;
  readonly policies: readonly string[];
  readonly snapshot: number;
  readonly delegation: Delegation | null;
  readonly claims: { readonly jti: string; readonly exp: number; readonly scope: string } | null;
}

/** The event of a token for the outside. The user appears as the mesh knows it: the pseudonym in the token joins nothing here. */
export function tokenIssuedEvent(told: TokenTold): AuthorityEvent {
  const { exit, audience, workload, code, scope, policies, snapshot, delegation, claims } = told;
  return {
    body: 'tokenIssued',
    tokenIssued: {
      exit,
      audience,
      workload,
      jti: claims?.jti ?? '',
      code,
      scope,
      outsideScope: claims?.scope ?? '',
      expiresS: claims?.exp ?? 0,
      policies,
      snapshotNumber: snapshot,
      txn: delegation?.txn ?? '',
      personal: delegation === null ? null : personalOf(delegation),
    },
  };
}

function personalOf({ sub, clientId, consent, grant, purpose }: Delegation): TokenIssued['personal'] {
  return {
    salt: randomBytes(16),
    subject: sub,
    clientId: clientId ?? '',
    consentId: consent?.id ?? '',
    consentVersion: consent?.version ?? 0,
    grant: grant ?? '',
    purpose: purpose ?? '',
  };
}

/** What became of work that was put off. */
export interface DeferredTold {
  readonly change: 'deferred' | 'resumed' | 'refused' | 'cancelled' | 'revoked' | 'expired';
  readonly grant: DeferredGrant;
  readonly subject: string;
  readonly consent: Consent | null;
  /** Who took it up, or tried to. */
  readonly caller: string;
  readonly newTxn: string;
  readonly code: string;
}

export function deferredEvent({ change, grant, subject, consent, caller, newTxn, code }: DeferredTold): AuthorityEvent {
  const { id, holder, txn, chain, uses, usesLeft, untilS, endedBy, endedWhy, purpose } = grant;
  return {
    body: 'deferred',
    deferred: {
      change,
      id,
      holder,
      caller,
      txn,
      newTxn,
      scope: chain.scope.join(' '),
      uses,
      usesLeft,
      untilS,
      code,
      by: endedBy,
      reason: endedWhy,
      work: purpose,
      depth: chain.depth,
      actors: [...chain.before, holder],
      personal: {
        salt: randomBytes(16),
        subject,
        clientId: grant.clientId,
        consentId: grant.consent,
        consentVersion: consent?.version ?? 0,
        grant: grant.grantId,
        purpose: consent?.purpose ?? '',
      },
    },
  };
}
