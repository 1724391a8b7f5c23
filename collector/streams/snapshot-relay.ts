/**
 * Takes in, keeps and relays policy snapshots. Before one is stored it is verified, parsed, compiled and numbered higher than
 * the last; receivers do all of it again, as they trust the policy key and not us.
 */
import type { Logger } from 'pino';
import { BehalfError, codeOf } from '../../errors/index.ts';
import { pathOf, type SignedStatement, type SpiffeId } from '../../identity/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import { type CompiledSnapshot, compileSnapshot, parseSnapshot, verifySnapshot } from '../../policy/index.ts';
import type { WatchSnapshotResponse } from '../../proto/behalf/state/v1/state.ts';
import type { PacedWriter } from './slow-watcher.ts';
import type { StateStore, StoredStatement } from './state-store.ts';

/** How long a snapshot waits for its key: an operator publishes the key and puts the snapshot right after. */
const KEY_WAIT_MS = 5_000;
/** Past snapshots that are kept compiled. */
const MAX_COMPILED = 4;

export type SnapshotMessage = WatchSnapshotResponse;

export interface SnapshotWatcher {
  pump(): void;
  /** The receiver says which number it serves. */
  acknowledge(serving: number): void;
  leave(): void;
}

export interface SnapshotRelay {
  /**
   * Takes a snapshot from an operator; gives its number when it is durable.
   * @throws {BehalfError} `policy_denied`, `statement_untrusted`, `snapshot_invalid`
   */
  put(statement: SignedStatement | null, by: SpiffeId): Promise<number>;
  watch(writer: PacedWriter<SnapshotMessage>): SnapshotWatcher;
  watchers(): number;
  current(): CompiledSnapshot | null;
  /** A past snapshot, compiled; null where it is not kept. */
  at(number: number): CompiledSnapshot | null;
  onChange(listener: (snapshot: CompiledSnapshot) => void): () => void;
}

export function createSnapshotRelay(
  store: StateStore,
  { identity, log, nowS }: { identity: OwnIdentity; log: Logger; nowS: () => number },
): SnapshotRelay {
  const watchers = new Set<SnapshotWatcher>();
  const listeners = new Set<(snapshot: CompiledSnapshot) => void>();
  const compiled = new Map<number, CompiledSnapshot>();
  let newest = store.newestSnapshot();
  let current = newest === null ? null : compileStored(newest, log);

  return {
    async put(statement, by) {
      if (!pathOf(by).startsWith('/behalf/operator/'))
        throw new BehalfError('policy_denied', { why: 'not an operator', by });
      if (statement === null) throw new BehalfError('request_malformed', { member: 'snapshot', why: 'missing' });
      await keyKnown(identity, statement.kid);
      const snapshot = verifySnapshot(statement, identity.bundle().policyKeys);
      if (snapshot.trust_domain !== identity.trustDomain) {
        throw new BehalfError('snapshot_invalid', { at: 'trust_domain', why: 'is another one than this mesh has' });
      }
      if (newest !== null && snapshot.number <= newest.number) {
        throw new BehalfError('snapshot_invalid', { at: 'number', why: `not higher than ${newest.number}` });
      }
      const next = compileSnapshot(snapshot);
      newest = { number: snapshot.number, statement };
      store.addSnapshot(newest, by, nowS());
      current = next;
      log.info({ snapshot: next.number, by }, 'policy snapshot stored');
      for (const watcher of watchers) watcher.pump();
      for (const listener of listeners) listener(next);
      return next.number;
    },
    watch(writer) {
      let sent = 0;
      let serving = -1;
      const watcher: SnapshotWatcher = {
        pump() {
          // Only the newest counts, so one that is slow misses those between.
          if (newest === null || serving < 0 || !writer.isOpen() || newest.number <= Math.max(sent, serving)) return;
          writer.write({ snapshot: newest.statement });
          sent = newest.number;
        },
        acknowledge(number) {
          serving = number;
          watcher.pump();
        },
        leave() {
          watchers.delete(watcher);
          writer.close();
        },
      };
      watchers.add(watcher);
      return watcher;
    },
    watchers: () => watchers.size,
    current: () => current,
    at(number) {
      if (current?.number === number) return current;
      const known = compiled.get(number);
      if (known !== undefined) return known;
      const stored = store.snapshotAt(number);
      const past = stored === null ? null : compileStored(stored, log);
      if (past !== null) remember(compiled, past);
      return past;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** What is in the file was verified when it came; a later version of ours may still refuse it. */
function compileStored({ number, statement }: StoredStatement, log: Logger): CompiledSnapshot | null {
  try {
    return compileSnapshot(parseSnapshot(JSON.parse(statement.payload.toString('utf8'))));
  } catch (error) {
    log.error({ err: error, code: codeOf(error), snapshot: number }, 'stored snapshot cannot be used');
    return null;
  }
}

function remember(compiled: Map<number, CompiledSnapshot>, past: CompiledSnapshot): void {
  compiled.set(past.number, past);
  for (const number of compiled.keys()) {
    if (compiled.size <= MAX_COMPILED) return;
    compiled.delete(number);
  }
}

/** Resolves once the bundle has a policy key of that name, or after `KEY_WAIT_MS`; whether it has is judged afterwards. */
function keyKnown(identity: OwnIdentity, kid: string): Promise<void> {
  const isKnown = (): boolean => identity.bundle().policyKeys.some((key) => key.kid === kid);
  if (isKnown()) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      unfollow();
      resolve();
    };
    const timer = setTimeout(done, KEY_WAIT_MS);
    const unfollow = identity.onChange(() => {
      if (isKnown()) done();
    });
  });
}
