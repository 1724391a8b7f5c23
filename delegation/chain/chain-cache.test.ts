import { expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { parseTrustDomain } from '../../identity/spiffe-id.ts';
import type { VerifyContext } from '../context.ts';
import { createRevocationSet } from '../revocation/index.ts';
import { forge } from '../test-forge.ts';
import { createTestMesh, TEST_NOW_S } from '../test-mesh.ts';
import { type ChainCache, createChainCache } from './chain-cache.ts';
import { parseChain } from './parse-chain.ts';
import { verifyChain } from './verify-chain.ts';

const mesh = createTestMesh();
const id = (name: string) => mesh.workload(name).spiffeId;
const parsed = parseChain(forge(mesh, { hops: [{ to: 'orders' }, { to: 'payments' }] }));

function verify(cache: ChainCache, changes: Partial<VerifyContext> = {}) {
  return verifyChain(parsed, mesh.context('payments', 'orders', { cache, ...changes }));
}

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(BehalfError);
    return (error as BehalfError).code;
  }
}

test('a chain that is known is taken from the cache, with every other check run anew', () => {
  const cache = createChainCache();
  const revocations = createRevocationSet();
  revocations.add({ kind: 'client', value: 'shop-web', before: TEST_NOW_S }, TEST_NOW_S + 600, 'authority');
  expect(verify(cache).fromCache).toBe(false);
  expect(verify(cache).fromCache).toBe(true);
  expect(codeOf(() => verify(cache, { me: id('inventory') }))).toBe('delegation_wrong_audience');
  expect(codeOf(() => verify(cache, { nowS: TEST_NOW_S + 65 }))).toBe('delegation_expired');
  expect(codeOf(() => verify(cache, { issuer: 'https://elsewhere.example' }))).toBe('delegation_bad_signature');
  expect(codeOf(() => verify(cache, { audience: 'elsewhere' }))).toBe('delegation_wrong_audience');
  expect(codeOf(() => verify(cache, { revoked: (facts) => revocations.hit(facts) }))).toBe('delegation_revoked');
});

test('who bounds the work is asked before the signatures of a chain that is not known, and of no other', () => {
  const cache = createChainCache();
  const limited = (): never => {
    throw new BehalfError('rate_limited');
  };
  expect(codeOf(() => verify(cache, { beforeSignatures: limited }))).toBe('rate_limited');
  expect(cache.size).toBe(0);
  // The cheaper checks come first and keep their own codes.
  expect(codeOf(() => verify(cache, { beforeSignatures: limited, me: id('inventory') }))).toBe(
    'delegation_wrong_audience',
  );
  let asked = 0;
  const counted = (): void => {
    asked += 1;
  };
  verify(cache, { beforeSignatures: counted });
  expect(asked).toBe(1);
  expect(verify(cache, { beforeSignatures: limited }).fromCache).toBe(true);
  expect(codeOf(() => verifyChain(parsed, mesh.context('payments', 'orders', { beforeSignatures: limited })))).toBe(
    'rate_limited',
  );
});

test('what is taken from the cache is what verifying it anew gives', () => {
  const cache = createChainCache();
  const { fromCache: _, ...anew } = verify(cache);
  const { fromCache: __, ...known } = verify(cache);
  expect(known).toEqual(anew);
});

test('a chain that was refused is not remembered', () => {
  const cache = createChainCache();
  expect(codeOf(() => verify(cache, { rootKey: () => null }))).toBe('delegation_bad_signature');
  expect(cache.size).toBe(0);
});

test('a known chain is verified anew when a key of its name is another one', () => {
  const cache = createChainCache();
  verify(cache);
  const { witKey: other } = mesh.workload('mallory');
  expect(codeOf(() => verify(cache, { rootKey: () => other }))).toBe('delegation_bad_signature');
  expect(codeOf(() => verify(cache, { witKey: () => other }))).toBe('delegation_bad_signature');
  expect(codeOf(() => verify(cache, { rootKey: () => null }))).toBe('delegation_bad_signature');
  expect(verify(cache).fromCache).toBe(true);
});

test('a known chain is verified anew for another issuer, audience or trust domain than it verified for', () => {
  const cache = createChainCache();
  verify(cache);
  let asked = 0;
  const beforeSignatures = (): void => {
    asked += 1;
  };
  expect(codeOf(() => verify(cache, { beforeSignatures, issuer: 'https://elsewhere.example' }))).toBe(
    'delegation_bad_signature',
  );
  expect(codeOf(() => verify(cache, { beforeSignatures, audience: 'elsewhere' }))).toBe('delegation_wrong_audience');
  expect(verify(cache, { beforeSignatures, trustDomain: parseTrustDomain('other.example') }).fromCache).toBe(false);
  expect(asked).toBe(3);
});

test('each call of a known chain gets the same description, made when it comes again', () => {
  const cache = createChainCache();
  const first = verify(cache);
  const second = verify(cache);
  expect(second).not.toBe(first);
  expect(verify(cache)).toBe(second);
  expect(first.fromCache).toBe(false);
});

test('a revocation, a rotated key and a new bundle evict what they touch', () => {
  const cache = createChainCache();
  verify(cache);
  expect(cache.size).toBe(3);
  expect(cache.evictRevoked({ kind: 'client', value: 'other', before: TEST_NOW_S }, 'authority')).toBe(0);
  expect(cache.evictRevoked({ kind: 'workload', value: id('storefront'), before: TEST_NOW_S }, 'ca')).toBe(2);
  expect(cache.evictKid('root-1')).toBe(0);
  expect(cache.evictKid('wit-1')).toBe(1);
  verify(cache);
  expect(cache.evictExpired(TEST_NOW_S + 61)).toBe(1);
  cache.clear();
  expect(cache.size).toBe(0);
});
