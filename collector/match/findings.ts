/** What does not fit, kept in a table: found once, and resolved when the missing part comes after all. */
import type { DatabaseSync } from 'node:sqlite';
import type { FindingKind } from '../../proto/behalf/audit/v1/audit.ts';
import { OVERDUE_US, SIDE_CALLEE_BIT } from './match-sides.ts';
import type { Overspent } from './overspending.ts';

/** Findings made or resolved in one sweep; the rest waits for the next. */
const MOST_A_SWEEP = 1_000;

export interface Findings {
  /** Notes that numbers are missing in a reporter's sequence. Part of the transaction that stores what came after them. */
  readonly gap: (at: { reporter: string; epoch: Buffer; from: number; to: number; nowUs: number }) => void;
  /** Notes an event that tells the side of somebody else. Part of the transaction that stores it. */
  readonly foreignSide: (at: { reporter: string; hopId: Buffer; claimed: string; nowUs: number }) => void;
  /** Notes that the two sides of a hop tell different things. Part of the transaction that stores the second. */
  readonly disagreement: (at: {
    hopId: Buffer;
    reporters: readonly [string, string];
    differ: readonly string[];
    nowUs: number;
  }) => void;
  /** Notes a hop that is not what its chain says. Part of the transaction that stores the later of the two. */
  readonly otherChain: (at: { reporter: string; hopId: Buffer; differ: readonly string[]; nowUs: number }) => void;
  /** Notes that the links of one parent hand on more than it has. Part of the transaction that stores the last of them. */
  readonly overspent: (at: { reporter: string; overspent: Overspent; nowUs: number }) => void;
  /** Notes hops whose other side is overdue, and resolves those whose other side came. Gives how many of each. */
  readonly sweep: (nowUs: number) => { found: number; resolved: number };
}

export function createFindings(database: DatabaseSync): Findings {
  const add = database.prepare(
    'INSERT INTO findings (kind, key, found_us, detail) VALUES (?, ?, ?, ?) ON CONFLICT (kind, key) DO NOTHING',
  );
  const overdue = database.prepare(
    `SELECT hop_id, due & ~sides AS missing, first_us FROM calls
     WHERE due & ~sides <> 0 AND first_us < ? AND finding = 0 ORDER BY first_us LIMIT ${MOST_A_SWEEP}`,
  );
  const complete = database.prepare(
    `SELECT hop_id FROM calls WHERE finding = 1 AND due & ~sides = 0 LIMIT ${MOST_A_SWEEP}`,
  );
  const mark = database.prepare('UPDATE calls SET finding = ? WHERE hop_id = ?');
  const resolve = database.prepare(
    "UPDATE findings SET resolved_us = ? WHERE key = ? AND kind IN ('caller_without_callee', 'callee_without_caller')",
  );

  const sides = database.prepare(
    'SELECT s.reporter, e.caller, e.callee FROM events e JOIN sources s ON s.id = e.source_id WHERE e.hop_id = ? AND e.kind = 4',
  );

  return {
    gap({ reporter, epoch, from, to, nowUs }) {
      const kind: FindingKind = 'sequence_gap';
      const detail = { reporter, epoch: epoch.toString('hex'), from, to, missing: to - from + 1 };
      add.run(kind, `${reporter} ${epoch.toString('hex')} ${from}`, nowUs, JSON.stringify(detail));
    },
    foreignSide({ reporter, hopId, claimed, nowUs }) {
      const kind: FindingKind = 'foreign_side';
      add.run(kind, `${reporter} ${keyOf(hopId)}`, nowUs, JSON.stringify({ reporter, claimed }));
    },
    disagreement({ hopId, reporters, differ, nowUs }) {
      const kind: FindingKind = 'sides_disagree';
      add.run(kind, keyOf(hopId), nowUs, JSON.stringify({ reporters, differ }));
    },
    otherChain({ reporter, hopId, differ, nowUs }) {
      const kind: FindingKind = 'chain_mismatch';
      add.run(kind, `${reporter} ${keyOf(hopId)}`, nowUs, JSON.stringify({ reporter, differ }));
    },
    overspent({ reporter, overspent: { parent, signer, links }, nowUs }) {
      const kind: FindingKind = 'details_overspent';
      add.run(kind, parent, nowUs, JSON.stringify({ reporter, signer, links }));
    },
    sweep(nowUs) {
      const found = overdue.all(nowUs - OVERDUE_US);
      const resolved = complete.all();
      for (const { hop_id, missing } of found) {
        const kind: FindingKind =
          (Number(missing) & SIDE_CALLEE_BIT) !== 0 ? 'caller_without_callee' : 'callee_without_caller';
        const [known] = sides.all(hop_id ?? null);
        add.run(
          kind,
          keyOf(hop_id),
          nowUs,
          JSON.stringify({ reporter: known?.reporter, caller: known?.caller, callee: known?.callee }),
        );
        mark.run(1, hop_id ?? null);
      }
      for (const { hop_id } of resolved) {
        resolve.run(nowUs, keyOf(hop_id));
        mark.run(2, hop_id ?? null);
      }
      return { found: found.length, resolved: resolved.length };
    },
  };
}

function keyOf(hopId: unknown): string {
  return Buffer.from(hopId as Uint8Array).toString('base64url');
}
