import { expect, test } from 'vitest';
import { BehalfError, codeOf, type ErrorCode } from '../../../errors/index.ts';
import { parseSpiffeId } from '../../../identity/index.ts';
import { createVerificationLimits } from './verification-limits.ts';

const ORDERS = parseSpiffeId('spiffe://shop.example/orders');
const STOREFRONT = parseSpiffeId('spiffe://shop.example/storefront');

function start(options: { readonly maxPeers?: number } = {}) {
  const clock = { nowMs: 1_000 };
  const limits = createVerificationLimits({ nowMs: () => clock.nowMs, firstSeenPerS: 10, failedPerS: 3, ...options });
  const firstSeen = (peer = ORDERS): string => {
    try {
      limits.firstSeen(peer);
      return 'verified';
    } catch (error) {
      return codeOf(error) ?? 'thrown';
    }
  };
  const fails = (code: ErrorCode = 'delegation_bad_signature', peer = ORDERS): ErrorCode =>
    limits.failed(peer, new BehalfError(code)).code;
  return { clock, limits, firstSeen, fails };
}

function times<T>(count: number, act: () => T): T[] {
  return Array.from({ length: count }, () => act());
}

test('new chains of a peer are verified up to twice the rate at once, then at the rate', () => {
  const { clock, firstSeen } = start();
  expect(new Set(times(20, firstSeen))).toEqual(new Set(['verified']));
  expect(firstSeen()).toBe('rate_limited');
  clock.nowMs += 500;
  expect(times(6, firstSeen)).toEqual([...times(5, () => 'verified'), 'rate_limited']);
  clock.nowMs += 3_600_000;
  expect(times(21, firstSeen).filter((outcome) => outcome === 'verified')).toHaveLength(20);
});

test('one peer at its limit costs no other peer anything', () => {
  const { firstSeen, fails } = start();
  times(50, firstSeen);
  times(50, fails);
  expect(firstSeen(STOREFRONT)).toBe('verified');
  expect(fails('delegation_expired', STOREFRONT)).toBe('delegation_expired');
});

test('a peer whose chains fail gets each its own code up to the limit, then rate_limited, and no new one is verified', () => {
  const { clock, firstSeen, fails } = start();
  expect(new Set(times(6, fails))).toEqual(new Set(['delegation_bad_signature']));
  expect(fails('delegation_malformed')).toBe('rate_limited');
  expect(firstSeen()).toBe('rate_limited');
  clock.nowMs += 1_000;
  expect(times(4, () => fails('delegation_wrong_audience'))).toEqual([
    ...times(3, () => 'delegation_wrong_audience'),
    'rate_limited',
  ]);
});

test('what befalls a working peer is not counted against it', () => {
  const { firstSeen, fails } = start();
  for (const code of ['delegation_revoked', 'consent_withdrawn', 'revocation_stale', 'trust_unavailable'] as const)
    expect(new Set(times(100, () => fails(code)))).toEqual(new Set([code]));
  expect(firstSeen()).toBe('verified');
});

test('the refusal for too many is not charged again', () => {
  const { clock, firstSeen, fails } = start();
  times(21, firstSeen);
  expect(new Set(times(100, () => fails('rate_limited')))).toEqual(new Set(['rate_limited']));
  clock.nowMs += 100;
  expect(firstSeen()).toBe('verified');
});

test('no more peers are remembered than the limit, the longest idle forgotten first', () => {
  const { limits, firstSeen } = start({ maxPeers: 2 });
  times(21, firstSeen);
  firstSeen(STOREFRONT);
  expect(firstSeen()).toBe('rate_limited');
  firstSeen(parseSpiffeId('spiffe://shop.example/payments'));
  expect(limits.size).toBe(2);
  expect(firstSeen()).toBe('rate_limited');
});
