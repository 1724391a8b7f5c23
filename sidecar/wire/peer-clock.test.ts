/** The measured skew is the difference of the clocks, whichever is ahead, also where the 32 bits wrap. */
import { expect, test } from 'vitest';
import { CLOCK_SETTING, clockSetting, hearClock, newPeerClock } from './peer-clock.ts';

const NOW_MS = 1_800_000_000_000;
const WRAP_MS = Math.ceil(NOW_MS / 2 ** 32) * 2 ** 32;

test.each([
  ['equal clocks', NOW_MS, NOW_MS, 0],
  ['a peer that is ahead', NOW_MS + 42_000, NOW_MS, 42_000],
  ['a peer that is behind', NOW_MS - 3_600_000, NOW_MS, -3_600_000],
  ['a peer ahead over the wrap', WRAP_MS + 500, WRAP_MS - 500, 1_000],
  ['a peer behind over the wrap', WRAP_MS - 500, WRAP_MS + 500, -1_000],
])('%s', (_what, peerMs, ownMs, skewMs) => {
  const clock = newPeerClock();
  hearClock(clock, { customSettings: clockSetting(peerMs) }, ownMs);
  expect(clock.skewMs).toBe(skewMs);
});

test('a peer that tells no time leaves it unknown, and a second telling changes nothing', () => {
  const clock = newPeerClock();
  hearClock(clock, {}, NOW_MS);
  hearClock(clock, { customSettings: { [CLOCK_SETTING + 1]: 5 } }, NOW_MS);
  expect(clock.skewMs).toBeNull();
  hearClock(clock, { customSettings: clockSetting(NOW_MS + 7) }, NOW_MS);
  hearClock(clock, { customSettings: clockSetting(NOW_MS + 9_000) }, NOW_MS);
  expect(clock.skewMs).toBe(7);
});
