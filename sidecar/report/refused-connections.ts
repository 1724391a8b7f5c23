/**
 * Connections that ended before any call, on record, of all listeners of a sidecar. UNTRUSTED: whoever reaches a port can be
 * refused as often as they like, and a full spool would deny everyone else's calls. So per listener, code and address only
 * some are written one by one (and so of calls that an entry refuses to strangers); the rest of the window is counted, and the count is written when the window ends.
 */
import type { Reporter } from '../../audit/report/index.ts';
import type { ConnectionRefused, EventBody } from '../../proto/behalf/audit/v1/audit.ts';
import type { ConnectionRefusal } from '../call/seam.ts';

/** Length of a window. */
export const REFUSALS_WINDOW_MS = 10_000;
/** Events a window for one address, and for all addresses together, of one listener and code. */
export const WHOLE_PER_ADDRESS = 20;
export const WHOLE_PER_CODE = 200;
/** The same for calls that an entry refuses to strangers, who can send many on one connection. */
export const CALLS_PER_ADDRESS = 100;
export const CALLS_PER_CODE = 1_000;
/** Addresses told apart in one window; those beyond are counted together, under no address. */
export const MAX_ADDRESSES = 256;

export interface RefusedConnections {
  /**
   * Puts a refusal on record, or counts it. Await it before the refusal is answered.
   * @throws {BehalfError} `audit_unavailable`: then it is not answered
   */
  record(refused: ConnectionRefusal): Promise<void>;
  /** Whether one more refusal is to be written by itself; where it is not, it was counted here. */
  admits(listener: string, code: string, address: string): boolean;
  /** Ends the window where its time is over: call it about once a window. */
  sweep(): void;
  /** Writes what is only counted so far. */
  close(): Promise<void>;
}

/** Events a window, of one listener and code. */
export interface RefusalLimits {
  readonly wholePerAddress?: number;
  readonly wholePerCode?: number;
}

export interface RefusedConnectionsOptions extends RefusalLimits {
  readonly reporter: Pick<Reporter, 'record'>;
  /** Monotonic. */
  readonly nowMs?: () => number;
}

/** Of one listener, code and address in the running window. */
interface Tally {
  readonly listener: string;
  readonly code: string;
  readonly address: string;
  whole: number;
  suppressed: number;
}

export function createRefusedConnections({
  reporter,
  nowMs = performance.now.bind(performance),
  wholePerAddress = WHOLE_PER_ADDRESS,
  wholePerCode = WHOLE_PER_CODE,
}: RefusedConnectionsOptions): RefusedConnections {
  let tallies = new Map<string, Tally>();
  /** Written one by one in this window, by listener and code: both are closed sets. */
  let wholes = new Map<string, number>();
  let endsMs = nowMs() + REFUSALS_WINDOW_MS;

  function tallyOf(listener: string, code: string, address: string): Tally {
    const key = `${listener} ${code} ${address}`;
    const known = tallies.get(key);
    if (known !== undefined) return known;
    if (tallies.size >= MAX_ADDRESSES && address !== '') return tallyOf(listener, code, '');
    const tally: Tally = { listener, code, address, whole: 0, suppressed: 0 };
    tallies.set(key, tally);
    return tally;
  }

  /** Whether one more is written by itself. */
  function spend(tally: Tally): boolean {
    const group = `${tally.listener} ${tally.code}`;
    const whole = wholes.get(group) ?? 0;
    if (tally.whole >= wholePerAddress || whole >= wholePerCode) return false;
    tally.whole += 1;
    wholes.set(group, whole + 1);
    return true;
  }

  /** If the process dies before, a count is lost: it stands for connections that were let to nothing. */
  async function endWindow(): Promise<void> {
    const ended = tallies;
    tallies = new Map();
    wholes = new Map();
    endsMs = nowMs() + REFUSALS_WINDOW_MS;
    const counted = [...ended.values()].filter(({ suppressed }) => suppressed > 0);
    await Promise.all(counted.map(writeCount));
  }

  async function writeCount({ listener, code, address, suppressed }: Tally): Promise<void> {
    try {
      await reporter.record(countEvent(listener, code, address, suppressed));
    } catch {
      // The spool takes nothing now, which it says itself: the count goes on into the next window.
      tallyOf(listener, code, address).suppressed += suppressed;
    }
  }

  const sweep = (): void => {
    if (nowMs() >= endsMs) void endWindow();
  };

  function admits(listener: string, code: string, address: string): boolean {
    sweep();
    const tally = tallyOf(listener, code, address);
    if (spend(tally)) return true;
    tally.suppressed += 1;
    return false;
  }

  return {
    admits,
    async record(refused) {
      if (admits(refused.listener, refused.error.code, refused.address)) await reporter.record(refusalEvent(refused));
    },
    sweep,
    close: endWindow,
  };
}

function refusalEvent({ listener, error, address, peer, peerSerialHex }: ConnectionRefusal): EventBody {
  const rule = error.detail['rule'] ?? error.detail['why'];
  const serial = peerSerialHex.length % 2 === 0 ? peerSerialHex : `0${peerSerialHex}`;
  return eventOf({
    code: error.code,
    rule: typeof rule === 'string' ? rule : '',
    peerAddress: address,
    peerSerial: Buffer.from(serial, 'hex'),
    peer,
    listener,
    suppressed: 0,
  });
}

function countEvent(listener: string, code: string, peerAddress: string, suppressed: number): EventBody {
  return eventOf({ code, rule: '', peerAddress, peerSerial: Buffer.alloc(0), peer: '', listener, suppressed });
}

function eventOf(connectionRefused: ConnectionRefused): EventBody {
  return { body: 'connectionRefused', connectionRefused };
}
