/**
 * Relays live state: what a source handed over is stored, then written to every watcher in the same turn, then acknowledged.
 * No polling, no queue a watcher: each has a position in the source's kept entries.
 */
import { BehalfError } from '../../errors/index.ts';
import type { SignedStatement } from '../../identity/index.ts';
import type { WatchLiveStateResponse } from '../../proto/behalf/state/v1/state.ts';
import { LIVE_STATE_SOURCES, type LiveStateSource } from '../../state/index.ts';
import type { PacedWriter } from './slow-watcher.ts';
import type { StateStore, StoredStatement } from './state-store.ts';

/** Kept entries of a source at most; beyond, the source is told to wait (`overloaded`) and its state goes stale. */
const MAX_KEPT_ENTRIES = 250_000;

export type LiveMessage = Partial<WatchLiveStateResponse> & { readonly source: LiveStateSource };

export interface LiveWatcher {
  /** Goes on writing what the watcher does not have yet, as far as its stream takes it. */
  pump(): void;
  leave(): void;
}

export interface LiveRelay {
  /**
   * Stores and relays an entry. Gives false for one that is stored already.
   * @throws {BehalfError} `statement_untrusted` for another entry of a stored number, `overloaded` at the limit
   */
  publishEntry(source: LiveStateSource, number: number, statement: SignedStatement): boolean;
  /** Relays a heartbeat; `keptFrom` (null if it could not be verified) lets older entries go. */
  publishHeartbeat(source: LiveStateSource, statement: SignedStatement, keptFrom: number | null): void;
  storedThrough(source: LiveStateSource): number;
  watch(writer: PacedWriter<LiveMessage>, knownThrough: { readonly [source: string]: number }): LiveWatcher;
  watchers(): number;
}

interface Relayed {
  /** Kept entries by number. */
  kept: StoredStatement[];
  storedThrough: number;
  heartbeat: SignedStatement | null;
}

interface Position {
  through: number;
  heartbeat: SignedStatement | null;
}

export function createLiveRelay(store: StateStore): LiveRelay {
  const load = (source: LiveStateSource): Relayed => ({
    kept: store.entries(source),
    storedThrough: store.storedThrough(source),
    heartbeat: null,
  });
  const relayed: { readonly [source in LiveStateSource]: Relayed } = { authority: load('authority'), ca: load('ca') };
  const watchers = new Set<LiveWatcher>();
  const pumpAll = (): void => {
    for (const watcher of watchers) watcher.pump();
  };

  return {
    publishEntry(source, number, statement) {
      const state = relayed[source];
      if (number <= state.storedThrough) {
        checkSame(state.kept[firstAfter(state.kept, number - 1)], number, statement);
        return false;
      }
      if (state.kept.length >= MAX_KEPT_ENTRIES) {
        throw new BehalfError('overloaded', {
          source,
          why: 'more entries are kept than the limit',
          limit: MAX_KEPT_ENTRIES,
        });
      }
      // Stored first: stopping here, a restart relays it. The source learns of it last, and would send it again.
      store.addEntry(source, { number, statement });
      state.kept.push({ number, statement });
      state.storedThrough = number;
      pumpAll();
      return true;
    },
    publishHeartbeat(source, statement, keptFrom) {
      const state = relayed[source];
      if (keptFrom !== null && (state.kept[0]?.number ?? keptFrom) < keptFrom) {
        store.dropBefore(source, keptFrom);
        state.kept = state.kept.slice(firstAfter(state.kept, keptFrom - 1));
      }
      state.heartbeat = statement;
      pumpAll();
    },
    storedThrough: (source) => relayed[source].storedThrough,
    watch(writer, knownThrough) {
      const positions: { readonly [source in LiveStateSource]: Position } = {
        authority: { through: knownThrough['authority'] ?? 0, heartbeat: null },
        ca: { through: knownThrough['ca'] ?? 0, heartbeat: null },
      };
      const watcher: LiveWatcher = {
        pump() {
          for (const source of LIVE_STATE_SOURCES) pumpSource(source, relayed[source], positions[source], writer);
        },
        leave() {
          watchers.delete(watcher);
          writer.close();
        },
      };
      watchers.add(watcher);
      watcher.pump();
      return watcher;
    },
    watchers: () => watchers.size,
  };
}

/** INVARIANT: a heartbeat is written only after every entry that came before it. */
function pumpSource(
  source: LiveStateSource,
  state: Relayed,
  position: Position,
  writer: PacedWriter<LiveMessage>,
): void {
  for (let at = firstAfter(state.kept, position.through); writer.isOpen(); at += 1) {
    const next = state.kept[at];
    if (next === undefined) break;
    writer.write({ source, entry: next.statement });
    position.through = next.number;
  }
  if (!writer.isOpen() || state.heartbeat === null || state.heartbeat === position.heartbeat) return;
  writer.write({ source, heartbeat: state.heartbeat });
  position.heartbeat = state.heartbeat;
}

/** Index of the first kept entry after a number, by halves. */
function firstAfter(kept: readonly StoredStatement[], number: number): number {
  let low = 0;
  let high = kept.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((kept[middle]?.number ?? 0) <= number) low = middle + 1;
    else high = middle;
  }
  return low;
}

function checkSame(stored: StoredStatement | undefined, number: number, statement: SignedStatement): void {
  if (stored === undefined || stored.number !== number) return;
  if (stored.statement.payload.equals(statement.payload)) return;
  throw new BehalfError('statement_untrusted', { number, why: 'another entry of that number is stored' });
}
