/** The list of checks says what `verifyChain` says, on every vector; and each line what it should. */

import { createPublicKey, type KeyObject } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type ChainPeer, parseChain, verifyChain } from '../../delegation/index.ts';
import { forge } from '../../delegation/test-forge.ts';
import { createTestMesh, type TestMesh } from '../../delegation/test-mesh.ts';
import { type ChainVector, parseVector, type VectorKey } from '../../delegation/vector/vector.ts';
import { BehalfError } from '../../errors/index.ts';
import {
  DEFAULT_CLOCK_RULE,
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  type TrustDomain,
} from '../../identity/index.ts';
import type { Check } from './check.ts';
import { type JudgeFacts, judgeChain, judgeRoot, type Outcome, outcomeOf } from './check-list.ts';

const VECTORS = new URL('../../test/vectors/chain/', import.meta.url);
const vectors = readdirSync(VECTORS)
  .filter((name) => name.endsWith('.json'))
  .map((name) => parseVector(JSON.parse(readFileSync(new URL(name, VECTORS), 'utf8'))));

test.each(vectors.map((vector) => [vector.name, vector] as const))(
  'vector %s: the first refusal is the verifier’s',
  (_name, vector) => {
    const facts = factsOf(vector);
    if (facts.peer === null) return;
    expect(outcomeOf(judgeChain(headersOf(vector), facts).checks)).toEqual(
      whatVerifyChainSays(vector, facts, facts.peer),
    );
  },
);

/** The library's own answer, with a live state in which nothing was revoked and nothing used before. */
function whatVerifyChainSays(vector: ChainVector, facts: Known, peer: ChainPeer): Outcome {
  try {
    verifyChain(parseChain(headersOf(vector)), {
      ...facts,
      peer,
      route: vector.route,
      clock: DEFAULT_CLOCK_RULE,
      trustDomain: facts.keys.trustDomain,
      issuer: vector.issuer,
      audience: vector.audience,
      rootKey: (kid) => facts.keys.rootKeys.get(kid) ?? null,
      witKey: (kid) => facts.keys.witKeys.get(kid) ?? null,
      revoked: () => null,
      fresh: () => undefined,
      onceStore: { take: () => undefined, size: 0 },
    });
    return { kind: 'holds' };
  } catch (error) {
    if (!(error instanceof BehalfError)) throw error;
    return { kind: 'refused', code: error.code };
  }
}

test('the lines stand in the order of the steps, and every one of a good chain that can be judged is ok', () => {
  const { mesh, facts, chain } = threeHops();
  const { checks } = judgeChain(chain, facts);
  expect(outcomeOf(checks)).toEqual({ kind: 'holds' });
  const steps = checks.map(({ step }) => Number(step));
  expect(steps).toEqual(steps.toSorted((a, b) => a - b));
  expect(checks.filter(({ verdict }) => verdict === 'not_judged').map(({ step }) => step)).toEqual([2, 4, 8, 9]);
  expect(checks.filter(({ step }) => step === 6)).toHaveLength(6);
  expect(wordsOf(checks, 'scope and details only shrink')).toBe('left: payments:charge');
  expect(wordsOf(checks, 'depth')).toBe('3 of at most 8');
  expect(mesh.nowS).toBe(facts.nowS);
});

test('a chain that has ended is refused for its times alone: every other line still says what it would', () => {
  const { facts, chain } = threeHops();
  const { checks } = judgeChain(chain, { ...facts, nowS: facts.nowS + 600 });
  expect(checks.filter(({ verdict }) => verdict === 'refused')).toEqual([
    {
      step: 3,
      check: 'times of root, links and WITs',
      verdict: 'refused',
      code: 'delegation_expired',
      why: 'root, `exp` is 2027-01-15 08:01:50 UTC, judged at 2027-01-15 08:10:00 UTC',
    },
  ]);
});

test('what is not known is not judged, and says what would say it', () => {
  const { facts, chain } = threeHops();
  const { checks } = judgeChain(chain, { ...facts, me: null, peer: null, route: null });
  expect(outcomeOf(checks)).toEqual({ kind: 'holds' });
  expect(wordsOf(checks, 'the last link hands it to me')).toContain('--me');
  expect(wordsOf(checks, 'the peer is the last signer')).toContain('--peer');
});

test('a key that is no longer in the bundle leaves a recorded chain undecided; a pasted one is refused', () => {
  const { facts, chain } = threeHops();
  const without = { ...facts, keys: { ...facts.keys, witKeys: new Map() } };
  expect(outcomeOf(judgeChain(chain, without).checks)).toEqual({ kind: 'refused', code: 'delegation_bad_signature' });
  const { checks } = judgeChain(chain, { ...without, unknownKey: 'not_judged' });
  expect(outcomeOf(checks)).toEqual({ kind: 'undecided' });
  expect(wordsOf(checks, 'WIT 1: signature')).toBe('key `wit-1` is no longer in the bundle');
});

test('details of a type that only the policy knows are not judged in a recorded chain; their scope is', () => {
  const { mesh, facts } = threeHops();
  const credits = [{ type: 'credits', units: 5 }];
  const narrowed = (scope: string) =>
    forge(mesh, {
      root: { tctx: { ...mesh.rootClaims().tctx, authorization_details: credits } },
      hops: [
        { to: 'payments', claims: { scope: 'orders:read' } },
        { to: 'ledger', claims: { scope, authorization_details: credits, rte: 'POST /entries' } },
      ],
    });
  const recorded: JudgeFacts = { ...facts, unknownKey: 'not_judged' };
  const { checks } = judgeChain(narrowed('orders:read'), recorded);
  expect(checks.filter(({ verdict }) => verdict === 'refused')).toEqual([]);
  expect(wordsOf(checks, 'details only shrink')).toBe('of a type that the mesh’s policy registers');
  const widened = judgeChain(narrowed('orders:read orders:write'), recorded);
  expect(outcomeOf(widened.checks)).toEqual({ kind: 'refused', code: 'delegation_scope_widened' });
  expect(outcomeOf(judgeChain(narrowed('orders:read'), facts).checks)).toMatchObject({
    code: 'delegation_scope_widened',
  });
});

test('a WIT of another trust domain than the bundle’s finds no key there', () => {
  const { facts, chain } = threeHops();
  const foreign = { ...facts, keys: { ...facts.keys, trustDomain: parseTrustDomain('other.example') } };
  expect(outcomeOf(judgeChain(chain, foreign).checks)).toMatchObject({ code: 'delegation_bad_signature' });
});

test('a bare root is judged for the workload that held it', () => {
  const { mesh, facts, chain } = threeHops();
  const me = mesh.workload('storefront').spiffeId;
  expect(outcomeOf(judgeRoot(chain.txnToken, { ...facts, me }).checks)).toEqual({ kind: 'holds' });
  const { checks } = judgeRoot(chain.txnToken, { ...facts, me: mesh.workload('orders').spiffeId });
  expect(outcomeOf(checks)).toEqual({ kind: 'refused', code: 'delegation_holder_mismatch' });
});

test('no line shows any part of a token', () => {
  const { facts, chain } = threeHops();
  const lines = JSON.stringify([
    judgeChain(chain, facts).checks,
    judgeChain({ ...chain, txnToken: `${chain.txnToken}x` }, facts).checks,
    judgeChain({ ...chain, delegationChain: chain.delegationChain.replaceAll('.', '..') }, facts).checks,
  ]);
  for (const part of Object.values(chain).flatMap((value) => value.split(/[., ]+/))) expect(lines).not.toContain(part);
});

function threeHops(): { mesh: TestMesh; facts: JudgeFacts; chain: ReturnType<typeof forge> } {
  const mesh = createTestMesh();
  const chain = forge(mesh, {
    hops: [
      { to: 'orders', claims: { scope: 'orders:read payments:charge' } },
      { to: 'payments', claims: { scope: 'payments:charge' } },
      { to: 'ledger', claims: { rte: 'POST /entries' } },
    ],
  });
  const { spiffeId, certificateS256 } = mesh.workload('payments');
  const facts: JudgeFacts = {
    nowS: mesh.nowS,
    keys: {
      trustDomain: mesh.trustDomain,
      issuer: mesh.issuer,
      audience: mesh.audience,
      rootKeys: new Map([[mesh.rootKey.kid, createPublicKey(mesh.rootKey.key)]]),
      witKeys: new Map([[mesh.witKey.kid, createPublicKey(mesh.witKey.key)]]),
    },
    unknownKey: 'refused',
    me: mesh.workload('ledger').spiffeId,
    peer: { spiffeId, certificateS256 },
    route: { matched: 'POST /entries' },
    myCertificateS256: null,
    liveState: null,
    policy: null,
  };
  return { mesh, facts, chain };
}

function wordsOf(checks: readonly Check[], name: string): string | undefined {
  return checks.find(({ check }) => check === name)?.why;
}

function headersOf({ txn_token, delegation_chain, delegation_credentials }: ChainVector) {
  return { txnToken: txn_token, delegationChain: delegation_chain, delegationCredentials: delegation_credentials };
}

/** A vector says all that may be known. */
type Known = JudgeFacts & { readonly me: SpiffeId; readonly keys: { readonly trustDomain: TrustDomain } };

function factsOf(vector: ChainVector): Known & { readonly peer: ChainPeer | null } {
  const { peer, peer_certificate: certificateS256 } = vector;
  return {
    nowS: vector.at,
    keys: {
      trustDomain: parseTrustDomain(vector.trust_domain),
      issuer: vector.issuer,
      audience: vector.audience,
      rootKeys: keysOf(vector.authority_jwks.keys),
      witKeys: keysOf(vector.bundle.keys.filter(({ use }) => use === 'wit-svid')),
    },
    unknownKey: 'refused',
    me: parseSpiffeId(vector.me),
    peer: peer === null || certificateS256 === null ? null : { spiffeId: parseSpiffeId(peer), certificateS256 },
    route: { matched: vector.route },
    myCertificateS256: vector.my_certificate,
    liveState: null,
    policy: null,
  };
}

function keysOf(keys: readonly VectorKey[]): ReadonlyMap<string, KeyObject> {
  const usable = keys.filter(({ kty, crv }) => kty === 'EC' && crv === 'P-256');
  return new Map(usable.map((jwk) => [jwk.kid ?? '', createPublicKey({ key: jwk, format: 'jwk' })]));
}
