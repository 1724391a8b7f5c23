/**
 * How far a peer's clock is ahead of ours, measured on every connection between sidecars (DESIGN section 2, "One clock rule").
 * Each side says its time in its first SETTINGS frame, in a setting of our own: RFC 9113 section 6.5.2 has everyone else
 * ignore it, and no call pays for it. What is measured is short by the way of one packet, milliseconds within a mesh.
 */
import type { Settings } from 'node:http2';

/** Number of the setting; of the range that the registry leaves alone. Value: milliseconds since the epoch, modulo 2^32. */
export const CLOCK_SETTING = 0xf0be;

/** One connection's measurement. */
export interface PeerClock {
  /** Milliseconds by which the peer's clock is ahead; null until it has told its time, and for those who never do. */
  skewMs: number | null;
}

const RANGE = 2 ** 32;

export function newPeerClock(): PeerClock {
  return { skewMs: null };
}

/** What to send: goes into the settings of a session. */
export function clockSetting(nowMs: number): { [id: number]: number } {
  return { [CLOCK_SETTING]: Math.floor(nowMs) % RANGE };
}

/** Takes the peer's time out of its settings; the first counts. UNTRUSTED: a peer may say any time; only people read it. */
export function hearClock(clock: PeerClock, settings: Settings, nowMs: number): void {
  const said = (settings.customSettings as Record<string, number> | undefined)?.[CLOCK_SETTING];
  if (clock.skewMs !== null || typeof said !== 'number') return;
  const ahead = (said - (Math.floor(nowMs) % RANGE) + RANGE) % RANGE;
  // The nearer way round: within 24 days, the difference is what it seems.
  clock.skewMs = ahead < RANGE / 2 ? ahead : ahead - RANGE;
}
