/** The table of deferred grants. Owns the SQL and the counting of uses; what may be done with a grant is `deferrals.ts`. */
import { hash, randomBytes } from 'node:crypto';
import type { SpiffeId } from '../../identity/index.ts';
import type { Database } from '../store/database.ts';
import type { DeferredGrant, DeferredState, LeftOfChain } from './grant.ts';

/** Given by one listing. */
const MAX_LISTED = 1_000;
/** Removed, and expired, by one sweep. */
const MAX_AT_A_TIME = 1_000;

export type DeferredOwner = { readonly holder: SpiffeId } | { readonly account: string } | { readonly all: true };

/** What grants can be looked up by. */
export type DeferredColumn = 'account' | 'consent' | 'client_id' | 'grant_id' | 'txn';

export interface DeferredStore {
  /** Gives the reference, which is nowhere else from then on. */
  add(grant: DeferredGrant): string;
  remove(id: string): void;
  get(id: string): DeferredGrant | null;
  ofReference(reference: string): DeferredGrant | null;
  /** All that were made of one request, ended or not, oldest first. */
  ofTxn(txn: string): DeferredGrant[];
  /** Newest first. */
  list(owner: DeferredOwner, alsoEnded: boolean): DeferredGrant[];
  /** Those that stand. */
  count(owner: { readonly holder: string } | { readonly consent: string }): number;
  /** Takes one use; false where the grant does not stand or none is left. */
  use(id: string, nowS: number): boolean;
  /** Ends a grant that stands, or one that is used up; false where neither. */
  end(id: string, state: DeferredState, by: string, why: string): boolean;
  /** Some after `afterId`, by id: all that stand, and those whose last root, or a stream that began under it, may still run (used since `sinceS`). */
  live(sinceS: number, afterId: string): DeferredGrant[];
  /** Those of them that have this value there. */
  liveOf(sinceS: number, column: DeferredColumn, value: string): DeferredGrant[];
  /** Ended, and not on record yet. */
  untold(): DeferredGrant[];
  setTold(id: string): void;
  /** Standing ones whose time is over, some at a time. */
  due(nowS: number): DeferredGrant[];
  /** Forgets those that ended long ago. */
  forget(beforeS: number): void;
  /** Through which entry of the CA's live state every live grant has been judged. */
  judgedThrough(): number;
  setJudgedThrough(number: number): void;
}

export function createDeferredStore({ sql }: Database): DeferredStore {
  const COLUMNS = `id, holder, account, consent, client_id, grant_id, txn, chain, purpose, made_s, until_s, uses, uses_left, used_s,
    state, ended_by, ended_why`;
  const insert = sql.prepare(
    `INSERT INTO deferred (${COLUMNS}, reference_hash) VALUES (${Array(18).fill('?').join(', ')})`,
  );
  const removeOne = sql.prepare('DELETE FROM deferred WHERE id = ?');
  const selectOne = sql.prepare(`SELECT ${COLUMNS} FROM deferred WHERE id = ?`);
  const selectByHash = sql.prepare(`SELECT ${COLUMNS} FROM deferred WHERE reference_hash = ?`);
  const selectByTxn = sql.prepare(`SELECT ${COLUMNS} FROM deferred WHERE txn = ? ORDER BY rowid`);
  const listBy = (column: string) =>
    sql.prepare(
      `SELECT ${COLUMNS} FROM deferred WHERE ${column} = ? AND (? OR state = 'standing') ORDER BY made_s DESC LIMIT ${MAX_LISTED}`,
    );
  const [ofHolder, ofAccount, ofAll] = [listBy('holder'), listBy('account'), listBy('1')];
  const countHolder = sql.prepare("SELECT count(*) AS n FROM deferred WHERE holder = ? AND state = 'standing'");
  const countConsent = sql.prepare("SELECT count(*) AS n FROM deferred WHERE consent = ? AND state = 'standing'");
  const takeUse = sql.prepare(
    `UPDATE deferred SET uses_left = uses_left - 1, used_s = ?, state = CASE uses_left WHEN 1 THEN 'used' ELSE state END
     WHERE id = ? AND state = 'standing' AND uses_left > 0`,
  );
  const endOne = sql.prepare(
    `UPDATE deferred SET told = CASE state WHEN 'standing' THEN 0 ELSE told END, state = ?, ended_by = ?, ended_why = ?
     WHERE id = ? AND state IN ('standing', 'used', 'expired')`,
  );
  const LIVE = "(state = 'standing' OR (state IN ('used', 'expired') AND used_s > ?))";
  const selectLive = sql.prepare(
    `SELECT ${COLUMNS} FROM deferred WHERE ${LIVE} AND id > ? ORDER BY id LIMIT ${MAX_AT_A_TIME}`,
  );
  const liveBy = (column: DeferredColumn) =>
    sql.prepare(`SELECT ${COLUMNS} FROM deferred WHERE ${column} = ? AND ${LIVE}`);
  const selectLiveOf = {
    account: liveBy('account'),
    consent: liveBy('consent'),
    client_id: liveBy('client_id'),
    grant_id: liveBy('grant_id'),
    txn: liveBy('txn'),
  } as const;
  const selectUntold = sql.prepare(`SELECT ${COLUMNS} FROM deferred WHERE told = 0 LIMIT ${MAX_AT_A_TIME}`);
  const setTold = sql.prepare('UPDATE deferred SET told = 1 WHERE id = ?');
  const selectDue = sql.prepare(
    `SELECT ${COLUMNS} FROM deferred WHERE state = 'standing' AND until_s <= ? LIMIT ${MAX_AT_A_TIME}`,
  );
  const removeOld = sql.prepare(
    `DELETE FROM deferred WHERE rowid IN
     (SELECT rowid FROM deferred WHERE state <> 'standing' AND until_s < ? AND used_s < ? LIMIT ${MAX_AT_A_TIME})`,
  );
  const selectJudged = sql.prepare('SELECT ca_entry FROM deferred_judged');
  const updateJudged = sql.prepare('UPDATE deferred_judged SET ca_entry = ?');
  const one = (row: Record<string, unknown> | undefined): DeferredGrant | null =>
    row === undefined ? null : parseRow(row);

  return {
    add(grant) {
      const reference = randomBytes(32).toString('base64url');
      const { id, holder, account, consent, clientId, grantId, txn, chain, purpose, madeS, untilS, uses } = grant;
      const { usesLeft, usedS, state, endedBy, endedWhy } = grant;
      const about = [id, holder, account, consent, clientId, grantId, txn, JSON.stringify(chain), purpose];
      insert.run(...about, madeS, untilS, uses, usesLeft, usedS, state, endedBy, endedWhy, hashOf(reference));
      return reference;
    },
    remove: (id) => void removeOne.run(id),
    get: (id) => one(selectOne.get(id)),
    ofReference: (reference) => one(selectByHash.get(hashOf(reference))),
    ofTxn: (txn) => selectByTxn.all(txn).map(parseRow),
    list(owner, alsoEnded) {
      const ended = alsoEnded ? 1 : 0;
      if ('holder' in owner) return ofHolder.all(owner.holder, ended).map(parseRow);
      if ('account' in owner) return ofAccount.all(owner.account, ended).map(parseRow);
      return ofAll.all(1, ended).map(parseRow);
    },
    count: (owner) =>
      Number(('holder' in owner ? countHolder.get(owner.holder) : countConsent.get(owner.consent))?.['n'] ?? 0),
    use: (id, nowS) => takeUse.run(nowS, id).changes === 1,
    end: (id, state, by, why) => endOne.run(state, by, why, id).changes === 1,
    live: (sinceS, afterId) => selectLive.all(sinceS, afterId).map(parseRow),
    liveOf: (sinceS, column, value) => selectLiveOf[column].all(value, sinceS).map(parseRow),
    untold: () => selectUntold.all().map(parseRow),
    setTold: (id) => void setTold.run(id),
    due: (nowS) => selectDue.all(nowS).map(parseRow),
    forget: (beforeS) => void removeOld.run(beforeS, beforeS),
    judgedThrough: () => Number(selectJudged.get()?.['ca_entry'] ?? 0),
    setJudgedThrough: (number) => void updateJudged.run(number),
  };
}

/** 256 random bits need no slow hash. */
function hashOf(reference: string): Buffer {
  return hash('sha256', reference, 'buffer');
}

function parseRow(row: Record<string, unknown>): DeferredGrant {
  return {
    id: String(row['id']),
    holder: String(row['holder']) as SpiffeId,
    account: String(row['account']),
    consent: String(row['consent']),
    clientId: String(row['client_id']),
    grantId: String(row['grant_id']),
    txn: String(row['txn']),
    chain: JSON.parse(String(row['chain'])) as LeftOfChain,
    purpose: String(row['purpose']),
    madeS: Number(row['made_s']),
    untilS: Number(row['until_s']),
    uses: Number(row['uses']),
    usesLeft: Number(row['uses_left']),
    usedS: Number(row['used_s']),
    state: String(row['state']) as DeferredState,
    endedBy: String(row['ended_by']),
    endedWhy: String(row['ended_why']),
  };
}
