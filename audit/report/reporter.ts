/**
 * What every part of the mesh puts its events on record with: a spool in its data directory, delivered to the collector. An event
 * is on record once `record` resolves, whether the collector is there or not.
 */
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import { partId } from '../../identity/index.ts';
import { connectService } from '../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import { auditIntake, type ChainBody, type EventBody } from '../../proto/behalf/audit/v1/audit.ts';
import { type Durability, openSpool, type Spool } from '../spool/index.ts';
import { startDelivery } from './delivery.ts';

/** Ids of chains known to be in the spool. Beyond it the set begins anew, and a chain may be spooled twice. */
const MAX_KNOWN_CHAINS = 16_384;
/** How long `close` waits for the collector to take what is left; the rest is delivered after the next start. */
const CLOSE_WAIT_MS = 2_000;

export interface Reporter {
  /**
   * Puts an event on record. All events of one event-loop turn share one write; resolves when it is as durable as configured.
   * Rejects with `audit_unavailable` if it could not be written; the call that it is about must then be denied.
   */
  readonly record: (event: EventBody) => Promise<void>;
  /**
   * Keeps a chain's body, once; call it before the event that first names it, in the same turn: the event's promise covers both.
   * @throws {BehalfError} `audit_unavailable`
   */
  readonly recordChain: (chain: ChainBody) => void;
  /** For metrics and readiness: what is spooled and how far the collector has it. */
  readonly state: () => ReporterState;
  /** Delivers what it can within 2 s, and closes. What is left is delivered after the next start. */
  readonly close: () => Promise<void>;
}

export interface ReporterState {
  readonly connected: boolean;
  readonly spooledBytes: number;
  readonly recorded: number;
  readonly storedThrough: number;
  readonly openHops: number;
}

export interface ReporterOptions {
  /** Folder of this reporter alone; made if missing. */
  readonly spoolDir: string;
  /** `host:port` of the collector. */
  readonly collectorAddress: string;
  readonly identity: OwnIdentity;
  readonly log: Logger;
  /** Aborting it closes the reporter as `close` does. */
  readonly signal: AbortSignal;
  readonly durability?: Durability;
  /** Bytes of undelivered events at which `record` refuses. */
  readonly maxBytes?: number;
  readonly segmentBytes?: number;
}

/**
 * Opens the spool, closes hops that a crash left open as `unknown`, and begins to deliver.
 * @throws {BehalfError} `data_directory_unusable`, `config_invalid`
 */
export function openReporter(options: ReporterOptions): Reporter {
  const { spoolDir, identity, collectorAddress, log, signal, durability = 'normal', maxBytes, segmentBytes } = options;
  const spool = openSpool({
    dir: spoolDir,
    durability,
    nowUs,
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(segmentBytes === undefined ? {} : { segmentBytes }),
  });
  const expect = partId(identity.trustDomain, 'collector');
  const client = connectService(auditIntake, { address: collectorAddress, identity, expect, log });
  const known = new Set<string>();
  const delivery = startDelivery({ spool, openStream: () => client.report(), log });
  let closing: Promise<void> | null = null;

  const close = (): Promise<void> => {
    closing ??= (async () => {
      signal.removeEventListener('abort', close);
      const until = Date.now() + CLOSE_WAIT_MS;
      while (!delivery.idle() && delivery.isTrying() && Date.now() < until) await delay(10);
      await delivery.stop();
      client.close();
      await spool.close();
    })();
    return closing;
  };
  signal.addEventListener('abort', close);
  reportRecovery(spool, log);

  return {
    record(event) {
      try {
        return spool.append(event);
      } catch (error) {
        return Promise.reject(error);
      }
    },
    recordChain(chain) {
      const id = chain.chainId.toString('latin1');
      if (known.has(id)) return;
      if (known.size >= MAX_KNOWN_CHAINS) known.clear();
      const written = spool.appendChain(chain);
      known.add(id);
      // Not written after all: the next call that it is about brings it again.
      written.catch(() => known.delete(id));
    },
    state: () => {
      const { bytes, nextSeq, openHops } = spool.state();
      const { connected, storedThrough } = delivery.state();
      return { connected, spooledBytes: bytes, recorded: nextSeq - 1, storedThrough, openHops };
    },
    close,
  };
}

/** A crash is on record too, so that a gap in the sequence numbers has its reason beside it. */
function reportRecovery(spool: Spool, log: Logger): void {
  const { unknownHops, tornBytes, lostEvents, skippedNumbers } = spool.recovered;
  if (unknownHops === 0 && tornBytes === 0 && lostEvents === 0 && skippedNumbers === 0) return;
  log.warn({ unknownHops, tornBytes, lostEvents, skippedNumbers }, 'audit spool recovered');
  const skipped = skippedNumbers === 0 ? '' : `, ${skippedNumbers} numbers left out after a loss of power`;
  const detail = `${unknownHops} calls without a known end, ${lostEvents} events lost${skipped}`;
  try {
    spool.append({ body: 'part', part: { state: 'recovered', detail } }).catch(() => undefined);
  } catch (error) {
    if (!(error instanceof BehalfError)) throw error;
  }
}

/** Microseconds since the epoch by the wall clock; its steps are milliseconds. */
function nowUs(): number {
  return Date.now() * 1000;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
