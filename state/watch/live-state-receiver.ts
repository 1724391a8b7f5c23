/**
 * Takes relayed live-state statements of both sources, in the order in which they came: verifies each by the current bundle,
 * applies entries to the set, keeps the ledgers. UNTRUSTED: everything that the relay sends.
 */
import { mayRevoke, type RevocationSet } from '../../delegation/revocation/index.ts';
import { BehalfError, codeOf } from '../../errors/index.ts';
import type { MeshBundle, SignedStatement } from '../../identity/index.ts';
import type { LiveStateSource, Revocation } from '../live-state.ts';
import { LIVE_STATE_SOURCES, verifyEntry, verifyHeartbeat } from '../parse-live-state.ts';
import { createSourceLedger, type SourceLedger } from './source-ledger.ts';

/** Something that a relay sent and that does not count; for the log and the record. */
export interface StateDefect {
  readonly source: LiveStateSource | 'policy';
  /** `unknown_key` may be a key that our bundle does not hold yet: it waits for the bundle to change. */
  readonly kind: 'unknown_key' | 'forged' | 'foreign' | 'incomplete' | 'went_back' | 'invalid';
  readonly why: string;
}

export interface ReceiverOptions {
  readonly bundle: () => MeshBundle;
  readonly revocations: RevocationSet;
  readonly wallS: () => number;
  readonly monotonicMs: () => number;
  readonly onRevocation: (revocation: Revocation, source: LiveStateSource) => void;
  readonly onDefect: (defect: StateDefect) => void;
}

export type LiveStateItem = { readonly kind: 'entry' | 'heartbeat'; readonly statement: SignedStatement };

/** What the stream's owner is to do: nothing, or open it again because something is missing. */
export type Receipt = 'taken' | 'reopen';

export interface LiveStateReceiver {
  readonly ledgers: { readonly [source in LiveStateSource]: SourceLedger };
  receive(source: string, item: LiveStateItem): Receipt;
  /** The bundle changed: what waited for an unknown key is tried again. */
  retryHeld(): Receipt;
  /** A new stream begins: what waited comes again. Gives the numbers after which to begin. */
  resume(): { readonly [source in LiveStateSource]: number };
}

/** Statements that wait for a key, a source. At the limit the stream is opened again, and they come anew. */
const MAX_HELD = 256;

export function createLiveStateReceiver(options: ReceiverOptions): LiveStateReceiver {
  const ledgers = { authority: createSourceLedger(), ca: createSourceLedger() };
  const held: { readonly [source in LiveStateSource]: LiveStateItem[] } = { authority: [], ca: [] };

  const apply = (source: LiveStateSource, item: LiveStateItem): Receipt => {
    try {
      return item.kind === 'entry'
        ? takeEntry(options, ledgers[source], source, item.statement)
        : takeHeartbeat(options, ledgers[source], source, item.statement);
    } catch (error) {
      if (codeOf(error) !== 'statement_untrusted') throw error;
      options.onDefect({ source, kind: 'forged', why: (error as BehalfError).message });
      return 'taken';
    }
  };

  return {
    ledgers,
    receive(name, item) {
      const source = LIVE_STATE_SOURCES.find((known) => known === name);
      if (source === undefined) {
        options.onDefect({ source: 'ca', kind: 'foreign', why: 'the relay names no source of live state' });
        return 'taken';
      }
      // INVARIANT: statements of a source are applied in order, so that what follows a held one waits too.
      const mustWait = held[source].length > 0 || hasUnknownKey(options.bundle(), source, item.statement.kid);
      if (!mustWait) return apply(source, item);
      if (held[source].length >= MAX_HELD) return 'reopen';
      if (held[source].length === 0) {
        options.onDefect({
          source,
          kind: 'unknown_key',
          why: `no source of live state has key \`${item.statement.kid.slice(0, 80)}\``,
        });
      }
      held[source].push(item);
      return 'taken';
    },
    retryHeld() {
      let receipt: Receipt = 'taken';
      for (const source of LIVE_STATE_SOURCES) {
        const waiting = held[source];
        while (waiting[0] !== undefined && !hasUnknownKey(options.bundle(), source, waiting[0].statement.kid)) {
          if (apply(source, waiting[0]) === 'reopen') receipt = 'reopen';
          waiting.shift();
        }
      }
      return receipt;
    },
    resume() {
      for (const source of LIVE_STATE_SOURCES) held[source].length = 0;
      return { authority: ledgers.authority.resume(), ca: ledgers.ca.resume() };
    },
  };
}

/**
 * Whether no source has that key: it may be so new that our bundle does not hold it yet. A key of the other source is
 * known, and what it signed here is forged.
 */
function hasUnknownKey({ liveStateKeys }: MeshBundle, source: LiveStateSource, kid: string): boolean {
  if (liveStateKeys[source].some((key) => key.kid === kid)) return false;
  return !LIVE_STATE_SOURCES.some((other) => liveStateKeys[other].some((key) => key.kid === kid));
}

function takeEntry(
  { bundle, revocations, onRevocation, onDefect }: ReceiverOptions,
  ledger: SourceLedger,
  source: LiveStateSource,
  statement: SignedStatement,
): Receipt {
  const { number, revocation, forget_at } = verifyEntry(statement, source, bundle());
  // Not another source's to state: ignored, but no gap, since the source did number it.
  if (!mayRevoke(source, revocation.kind)) {
    ledger.take(number);
    onDefect({ source, kind: 'foreign', why: `${source} may not revoke a ${revocation.kind}` });
    return 'taken';
  }
  // First into the set, then into the ledger: a number counts as had only when what it says is in force.
  const epoch = revocations.epoch;
  try {
    revocations.add(revocation, forget_at, source);
  } catch (error) {
    if (!(error instanceof BehalfError)) throw error;
    // The set is full and refuses every call by itself from now on.
    onDefect({ source, kind: 'invalid', why: error.message });
  }
  if (ledger.take(number) || revocations.epoch !== epoch) onRevocation(revocation, source);
  return 'taken';
}

function takeHeartbeat(
  { bundle, wallS, monotonicMs, onDefect }: ReceiverOptions,
  ledger: SourceLedger,
  source: LiveStateSource,
  statement: SignedStatement,
): Receipt {
  const heartbeat = verifyHeartbeat(statement, source, bundle());
  const outcome = ledger.beat(heartbeat, wallS(), monotonicMs());
  if (outcome === 'complete' || outcome === 'older') return 'taken';
  onDefect({ source, kind: outcome, why: `newest ${heartbeat.number}, have through ${ledger.through()}` });
  return outcome === 'incomplete' ? 'reopen' : 'taken';
}
