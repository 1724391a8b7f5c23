/** The gRPC service `Registration`, for operators alone: entries, join tokens, revocation. */
import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import {
  type Clock,
  parseSpiffeId,
  partId,
  pathOf,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
} from '../../identity/index.ts';
import type { Caller, Implementation } from '../../identity/mtls/index.ts';
import type { Registration } from '../../proto/behalf/ca/v1/ca.ts';
import type { LiveStateSourceHandle } from '../../state/index.ts';
import { createJoinToken, DEFAULT_TOKEN_LIFE_S, MAX_TOKEN_LIFE_S } from '../attest/index.ts';
import { isOperator } from '../bundle/published-keys.ts';
import { deleteEntry, insertEntry, listEntries, parseEntry } from '../entries/entries.ts';
import { forgetAt, keepBan, keepRevocation, liftBan, parseRevocation, requireStanding } from '../revoke/revocations.ts';
import type { Trail } from './trail.ts';

export interface RegistrationDeps {
  readonly database: DatabaseSync;
  readonly trustDomain: TrustDomain;
  /** Null without a collector: then nothing can be revoked, since nobody would hear of it. */
  readonly liveState: Pick<LiveStateSourceHandle, 'revoke'> | null;
  /** Whether WITs are signed with a key of this name. */
  readonly isWitKey: (kid: string) => boolean;
  /** Replaces the key that signs WITs and takes the old one out of the bundle; gives the new one's name. */
  readonly replaceWitKey: () => Promise<string>;
  /** Something was revoked here. */
  readonly revoked: () => void;
  readonly trail: Trail;
  readonly log: Logger;
  readonly clock: Clock;
}

const MAX_REASON_LENGTH = 256;

/** Makes the service's handlers. */
export function serveRegistration(deps: RegistrationDeps): Implementation<Registration> {
  const { database, trustDomain, liveState, isWitKey, replaceWitKey, revoked, trail, log, clock } = deps;
  const operator = (caller: Caller): SpiffeId => {
    const by = requireStanding(database, caller);
    if (!isOperator(by, trustDomain)) throw new BehalfError('policy_denied', { why: 'operators only', caller: by });
    return by;
  };
  return {
    createEntry: (request, caller) => {
      const by = operator(caller);
      const entry = parseEntry(request, trustDomain, clock());
      insertEntry(database, entry);
      log.info({ by, entry: entry.id, spiffeId: entry.spiffeId, selectors: entry.selectors }, 'entry created');
      return entry;
    },
    listEntries: (_request, caller) => {
      operator(caller);
      return { entries: listEntries(database) };
    },
    deleteEntry: ({ id }, caller) => {
      const by = operator(caller);
      deleteEntry(database, id);
      log.info({ by, entry: id }, 'entry deleted');
      return {};
    },
    createJoinToken: ({ spiffeId: asked, ttlS }, caller) => {
      const by = operator(caller);
      const spiffeId = parseTokenIdentity(asked, trustDomain);
      if (ttlS > MAX_TOKEN_LIFE_S) {
        throw new BehalfError('request_malformed', { member: 'ttl_s', why: `more than ${MAX_TOKEN_LIFE_S}` });
      }
      const made = createJoinToken(database, spiffeId, ttlS === 0 ? DEFAULT_TOKEN_LIFE_S : ttlS, clock());
      log.info({ by, spiffeId, expiresS: made.expiresS }, 'join token created');
      return made;
    },
    revoke: async (request, caller) => {
      const by = operator(caller);
      const revocation = parseRevocation(request, { database, nowS: clock(), isWitKey });
      if (request.reason.length > MAX_REASON_LENGTH)
        throw new BehalfError('request_malformed', { member: 'reason', why: 'too long' });
      if (liveState === null) throw new BehalfError('upstream_unavailable', { why: 'no collector is configured' });
      const forgetAtS = forgetAt(database, revocation);
      if (request.ban) keepBan(database, parseSpiffeId(revocation.value), clock());
      // First here: if we stop now, it cannot renew any more, and the operator, who has no answer, revokes again.
      keepRevocation(database, revocation, forgetAtS);
      const { number } = await liveState.revoke(revocation, forgetAtS);
      const { kind, value } = revocation;
      log.warn({ by, kind, value, number }, 'revoked');
      revoked();
      // If we stop before it is replaced, the next start replaces it.
      const nextKid = kind === 'kid' ? await replaceWitKey() : '';
      await trail.record({ body: 'revocation', revocation: { kind, value, number, by, reason: request.reason } });
      return { number, nextKid };
    },
    liftBan: ({ spiffeId }, caller) => {
      const by = operator(caller);
      liftBan(database, parseSpiffeId(spiffeId));
      log.warn({ by, spiffeId }, 'ban lifted');
      return {};
    },
  };
}

/** Any identity of the domain but this authority's own, which only this process has. */
function parseTokenIdentity(asked: string, trustDomain: TrustDomain): SpiffeId {
  const spiffeId = parseSpiffeId(asked);
  if (trustDomainOf(spiffeId) !== trustDomain) {
    throw new BehalfError('request_malformed', { member: 'spiffe_id', why: 'is of another trust domain' });
  }
  if (spiffeId === partId(trustDomain, 'ca') || pathOf(spiffeId).startsWith('/behalf/ca/')) {
    throw new BehalfError('policy_denied', { why: 'the identity of the certificate authority itself', spiffeId });
  }
  return spiffeId;
}
