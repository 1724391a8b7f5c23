/** Nonces for DPoP proofs, and what a client is told that has none. */
import { expect, test } from 'vitest';
import { codeOf } from '../../../errors/index.ts';
import { createChallenge } from './challenge.ts';
import { createProofNonces } from './proof-nonces.ts';

const NOW_S = 1_800_000_000;

function codeFor(check: () => void): string {
  try {
    check();
    return 'taken';
  } catch (thrown) {
    return codeOf(thrown);
  }
}

test('a nonce of ours is good for its minute and the next, and no other one is', () => {
  const nonces = createProofNonces();
  const nonce = nonces.current(NOW_S);
  expect(codeFor(() => nonces.check(nonce, NOW_S))).toBe('taken');
  expect(codeFor(() => nonces.check(nonce, NOW_S + 60))).toBe('taken');
  for (const [shown, atS] of [
    [nonce, NOW_S + 121],
    [nonce, NOW_S - 61],
    [createProofNonces().current(NOW_S), NOW_S],
    ['', NOW_S],
    [null, NOW_S],
  ] as const)
    expect(
      codeFor(() => nonces.check(shown, atS)),
      String(shown),
    ).toBe('entry_nonce_needed');
});

test('a client without one is told to take it, in the scheme that it came by', () => {
  const challenge = createChallenge({ realm: 'r', metadataUrl: () => null });
  expect(challenge('entry_nonce_needed', { scheme: 'DPoP', origin: null, nonce: 'n' })).toEqual([
    'www-authenticate',
    'Bearer realm="r"',
    'www-authenticate',
    'DPoP realm="r", algs="ES256 Ed25519 EdDSA", error="use_dpop_nonce"',
    'dpop-nonce',
    'n',
  ]);
  expect(challenge('policy_denied', { scheme: 'DPoP', origin: null, nonce: 'n' })).toEqual([]);
});
