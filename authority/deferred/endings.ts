/**
 * How deferred grants end: by whom they are cancelled, by their time, and by a revocation of anything that the old chain rested on.
 *
 * Revocations of ours end grants in the transaction that states them. Those of the CA come by live state, which forgets an entry once
 * nothing on the wire can be hit by it, while a grant lives for longer. So each live grant has been judged by every entry of the CA
 * through a number that is kept beside the grants; entries that came and were forgotten while we were away (the source's signed
 * heartbeat says how far) end every grant, as nobody can tell any more whom they hit.
 */
import { setImmediate } from 'node:timers/promises';
import { type RevocableFacts, type Revocation, revocationHits } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { ProvenRun } from '../../state/index.ts';
import type { Consents } from '../consent/consents.ts';
import { REMEMBERED_S, type Revocations } from '../consent/revocations.ts';
import { type DeferredTold, deferredEvent, type RecordEvent } from '../events/events.ts';
import type { HeldContext } from '../exchange/held-chain.ts';
import type { Database } from '../store/database.ts';
import type { DeferredGrant } from './grant.ts';
import type { DeferredStore } from './store.ts';

/** How long one that has ended is still listed. */
const LISTED_S = 30 * 24 * 3_600;

export interface Endings {
  /** All that a revocation can hit in the chain that a grant came from. */
  factsOf(grant: DeferredGrant): RevocableFacts;
  /**
   * Ends every grant from before where entries of the CA were forgotten that were never seen. Which of those that were seen hit whom is
   * for the sweep, and for each grant anew when it is taken up.
   * @throws {BehalfError} `revocation_stale` before the CA's first heartbeat
   */
  checkUnbroken(): void;
  /** Ends one at once. @throws {BehalfError} `not_found` */
  cancel(id: string, by: string, reason: string): Promise<{ readonly grant: DeferredGrant; readonly number: number }>;
  /** What a revocation of ours ends. Inside the transaction that queues it. */
  onQueued(revocation: Revocation, by: string, reason: string): void;
  /** What an entry of the CA's ends, at once. */
  onCaRevocation(revocation: Revocation): Promise<void>;
  /** Judges by what the CA's live state has brought, expires what is due, and tells what is not told yet. */
  sweep(): Promise<void>;
  /** What became of a grant, for the record. */
  told(grant: DeferredGrant): Omit<DeferredTold, 'change'>;
}

export interface EndingDeps extends Pick<HeldContext, 'revoked'> {
  readonly database: Database;
  readonly store: DeferredStore;
  readonly consents: Consents;
  readonly revocations: Revocations;
  readonly subjectOf: (account: string) => string;
  readonly accountOf: (subject: string) => string | null;
  readonly record: RecordEvent;
  /** Which entries of the CA's are in force here without gap; null before its first heartbeat. */
  readonly caEntries: () => ProvenRun | null;
  readonly clock: Clock;
}

export function createEndings(deps: EndingDeps): Endings {
  const { database, store, consents, revocations, record, subjectOf, clock } = deps;
  const nowS = (): number => Math.floor(clock());
  /** Queued here; what an earlier run left, the queue's own sweep hands over. */
  const due = new Set<number>();
  let telling: Promise<void> | null = null;

  function factsOf({ chain, txn, account, clientId, consent, grantId }: DeferredGrant): RevocableFacts {
    const sub = subjectOf(account);
    const root = { ...chain.root, txn, sub, client: clientId, consent, grant: grantId, deferred: null };
    return { root, signers: chain.signers };
  }

  const told = (grant: DeferredGrant): Omit<DeferredTold, 'change'> => ({
    grant,
    subject: subjectOf(grant.account),
    consent: consents.get(grant.consent),
    caller: '',
    newTxn: '',
    code: '',
  });

  /** Ends it, and what runs on roots that were made of it: they do not name the old chain. Inside a transaction. */
  function end(grant: DeferredGrant, by: string, why: string): void {
    if (store.end(grant.id, 'revoked', by, why) && grant.usedS > 0) queueEnd(grant.id, by, why);
  }

  function queueEnd(id: string, by: string, why: string): number {
    const place = revocations.queue({ kind: 'deferred', value: id, before: nowS() }, by, why);
    due.add(place);
    return place;
  }

  /** Used up or not: a root that was made of it, or a stream that began under one, may still run. */
  const live = (afterId: string): readonly DeferredGrant[] => store.live(nowS() - REMEMBERED_S, afterId);

  /** Those that a revocation of ours can hit: what it says by a value that stands beside the grant is looked up. */
  function liveNamedBy({ kind, value }: Revocation): readonly DeferredGrant[] {
    const sinceS = nowS() - REMEMBERED_S;
    switch (kind) {
      case 'consent':
      case 'txn':
        return store.liveOf(sinceS, kind, value);
      case 'client':
        return store.liveOf(sinceS, 'client_id', value);
      case 'grant':
        return store.liveOf(sinceS, 'grant_id', value);
      case 'sub': {
        const account = deps.accountOf(value);
        return account === null ? [] : store.liveOf(sinceS, 'account', account);
      }
      default:
        // Root keys: rare, and each grant has one.
        return allLive();
    }
  }

  function checkUnbroken(): void {
    const entries = deps.caEntries();
    if (entries === null) throw new BehalfError('revocation_stale', { source: 'ca' });
    const judged = store.judgedThrough();
    if (entries.keptFrom <= judged + 1) return;
    const why = `entries of the CA after ${judged} were forgotten before they were seen`;
    database.transaction(() => {
      eachPage((grants) => {
        for (const grant of grants) end(grant, 'authority', why);
      });
      store.setJudgedThrough(entries.keptFrom - 1);
    });
  }

  /** Pages of live grants, one after the other in this turn. */
  function eachPage(visit: (grants: readonly DeferredGrant[]) => void): void {
    for (let page = live(''); page.length > 0; page = live(page.at(-1)?.id ?? '')) visit(page);
  }

  function allLive(): DeferredGrant[] {
    const all: DeferredGrant[] = [];
    eachPage((grants) => all.push(...grants));
    return all;
  }

  /** Judges all live grants, a page a turn and transaction: others are answered between. */
  async function judgeAll(hits: (grant: DeferredGrant) => boolean, why: string): Promise<void> {
    for (let page = live(''); page.length > 0; page = live(page.at(-1)?.id ?? '')) {
      const hit = page.filter(hits);
      if (hit.length > 0)
        database.transaction(() => {
          for (const grant of hit) end(grant, 'ca', why);
        });
      await setImmediate();
    }
  }

  /** By all entries of the CA that are in force here; then they count as seen. */
  async function judgeByCa(): Promise<void> {
    const entries = deps.caEntries();
    // Before the CA's first heartbeat there is nothing to judge by, and nothing is taken up either.
    if (entries === null) return;
    checkUnbroken();
    if (entries.through <= store.judgedThrough()) return;
    const isHit = ({ chain }: DeferredGrant) => deps.revoked({ root: null, signers: chain.signers }) !== null;
    await judgeAll(isHit, 'a workload of the chain was revoked');
    store.setJudgedThrough(entries.through);
  }

  /** Tells live state and the record. What cannot be told now is told by a later sweep. */
  function tell(): Promise<void> {
    telling ??= tellAll().finally(() => {
      telling = null;
    });
    return telling;
  }

  async function tellAll(): Promise<void> {
    for (const place of due) {
      await revocations.handOver(place);
      due.delete(place);
    }
    for (const grant of store.untold()) {
      const { state } = grant;
      if (state === 'standing' || state === 'used') continue;
      await record(deferredEvent({ ...told(grant), change: state }));
      store.setTold(grant.id);
    }
  }

  return {
    factsOf,
    told,
    checkUnbroken,
    async cancel(id, by, reason) {
      const grant = store.get(id);
      if (grant === null) throw new BehalfError('not_found', { what: 'deferred work' });
      const place = database.transaction(() => {
        store.end(id, 'cancelled', by, reason);
        return queueEnd(id, by, reason);
      });
      const number = await revocations.handOver(place);
      due.delete(place);
      // Ended it is, whether or not the log can be written.
      await tell().catch(() => undefined);
      return { grant: store.get(id) ?? grant, number };
    },
    onQueued(revocation, by, reason) {
      if (revocation.kind === 'deferred') {
        store.end(revocation.value, 'cancelled', by, reason);
        return;
      }
      for (const grant of liveNamedBy(revocation)) {
        if (revocationHits(revocation, 'authority', factsOf(grant))) end(grant, by, `${revocation.kind}: ${reason}`);
      }
    },
    async onCaRevocation(revocation) {
      const isHit = ({ chain }: DeferredGrant) =>
        revocationHits(revocation, 'ca', { root: null, signers: chain.signers });
      await judgeAll(isHit, `${revocation.kind} was revoked`);
      await tell();
    },
    async sweep() {
      await judgeByCa();
      for (const grant of store.due(nowS())) store.end(grant.id, 'expired', 'authority', '');
      store.forget(nowS() - LISTED_S);
      await tell();
    },
  };
}
