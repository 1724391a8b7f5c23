/**
 * Changing a consent with all that follows, in this order: the change and what it queues, in one transaction; the revocation,
 * so that the mesh stops; the event, so that it is on record; then the answer. If we stop on the way, what is left in
 * the queues is done at the next start or sweep.
 */
import type { Logger } from 'pino';
import { type AuthorityEvent, consentEvent, type RecordEvent } from '../events/events.ts';
import type { Changed, Consent, ConsentGiven, Consents } from './consents.ts';
import type { HashedChange } from './history.ts';
import type { Revocations } from './revocations.ts';

export interface ConsentChanges {
  /** Records consent. Nothing may be issued on it before this resolves. @throws {BehalfError} `audit_unavailable` */
  give(given: ConsentGiven): Promise<Consent>;
  /** Sees to it that the giving of a consent is on record, where that could not be done then. @throws {BehalfError} `audit_unavailable` */
  onRecord(consent: Consent): Promise<void>;
  /** Takes scopes back. @throws {BehalfError} as `Consents.narrow` */
  narrow(id: string, keep: readonly string[], by: string): Promise<Consent>;
  /**
   * Ends a consent; resolves when that is durable and handed to the collector, with the number of the live-state entry.
   * A log that cannot be written does not keep a withdrawal from taking effect. @throws {BehalfError} as `Consents.withdraw`
   */
  withdraw(id: string, by: string, reason: string): Promise<{ consent: Consent; number: number }>;
  /** Expires what is due, and does what is left of earlier changes. */
  sweep(): Promise<void>;
}

export interface ConsentChangeDeps {
  readonly consents: Consents;
  readonly revocations: Revocations;
  readonly record: RecordEvent;
  readonly subjectOf: (account: string) => string;
  readonly log: Logger;
}

/** Ties the record of consents to live state and the log. */
export function createConsentChanges({
  consents,
  revocations,
  record,
  subjectOf,
  log,
}: ConsentChangeDeps): ConsentChanges {
  const eventOf = (change: HashedChange, consent: Consent): AuthorityEvent =>
    consentEvent(change, consent, subjectOf(consent.account));

  const report = async (change: HashedChange, consent: Consent): Promise<void> => {
    await record(eventOf(change, consent));
    consents.reported(change);
  };
  const reportLater = async (change: HashedChange, consent: Consent): Promise<void> => {
    try {
      await report(change, consent);
    } catch (error) {
      log.error({ err: error, change: change.change }, 'consent change not on record yet');
    }
  };
  const handOver = async ({ revocationDue }: Changed): Promise<number> =>
    revocationDue === null ? 0 : await revocations.handOver(revocationDue);

  return {
    give: async (given) => {
      const changed = consents.give(given);
      await handOver(changed);
      await report(changed.change, changed.consent);
      return changed.consent;
    },
    onRecord: async (consent) => {
      for (const change of consents.unreported())
        if (change.consent === consent.id && change.change === 'granted') await report(change, consent);
    },
    narrow: async (id, keep, by) => {
      const changed = consents.narrow(id, keep, by);
      await handOver(changed);
      await reportLater(changed.change, changed.consent);
      return changed.consent;
    },
    withdraw: async (id, by, reason) => {
      const changed = consents.withdraw(id, by, reason);
      const number = await handOver(changed);
      await reportLater(changed.change, changed.consent);
      return { consent: changed.consent, number };
    },
    sweep: async () => {
      consents.expireDue();
      // What cannot be stated now does not keep the record from what it can take.
      let failure: unknown = null;
      await revocations.handOverAll().catch((error: unknown) => {
        failure = error;
      });
      for (const change of consents.unreported()) {
        const consent = consents.get(change.consent);
        if (consent !== null) await reportLater(change, consent);
      }
      if (failure !== null) throw failure;
    },
  };
}
