/** A chain in a person's hand: read from what tools print, told in words, compared; and nothing secret in what is shown. */
import { expect, test } from 'vitest';
import { forge } from '../../delegation/test-forge.ts';
import { createTestMesh } from '../../delegation/test-mesh.ts';
import type { BehalfError } from '../../errors/index.ts';
import { chainOfFlags, isHopText, parseHeaderLines } from './chain-input.ts';
import { diffChains } from './diff-chain.ts';
import { tellChain } from './tell-chain.ts';
import { parseTime } from './verify-command.ts';
import { viewChain } from './view-chain.ts';

const mesh = createTestMesh();
const chain = forge(mesh, {
  hops: [
    { to: 'orders', claims: { scope: 'orders:read payments:charge' } },
    { to: 'payments', claims: { scope: 'payments:charge', del_max_depth: 2, rte: 'POST /charges', next: [] } },
  ],
});
const lines = `Txn-Token: ${chain.txnToken}\r\nDelegation-Chain: ${chain.delegationChain}\r\nDelegation-Credentials: ${chain.delegationCredentials}\r\n`;

test('the three headers are found among others, in any case and as curl prints them', () => {
  expect(parseHeaderLines(`GET /x HTTP/1.1\nHost: a\n${lines}`)).toEqual(chain);
  expect(
    parseHeaderLines(lines.replaceAll('Txn-Token', '> txn-token').replace('Delegation-Chain:', '> DELEGATION-CHAIN :')),
  ).toEqual(chain);
});

test('a header that stands twice is malformed, as on the wire; a text without any of them is no chain', () => {
  expect(() => parseHeaderLines(`${lines}${lines}`)).toThrowError(
    expect.objectContaining({ code: 'delegation_malformed' }),
  );
  expect(() => parseHeaderLines('hello\nHost: a\n')).toThrowError(
    expect.objectContaining({ code: 'request_malformed' }),
  );
});

test('flags that are not given are headers that are absent', () => {
  expect(chainOfFlags({})).toBeNull();
  expect(chainOfFlags({ chain: 'x' })).toEqual({ txnToken: null, delegationChain: 'x', delegationCredentials: null });
});

test('a hop id is told from a file', () => {
  expect(isHopText('zCzE6LXDAAAAAAAC')).toBe(true);
  for (const other of ['-', 'chain.txt', './AAAAAAAAAAAAAA', 'zCzE6LXDAAAAAAACA']) expect(isHopText(other)).toBe(false);
});

test.each([
  ['1800000000', 1_800_000_000],
  ['1800000000.5', 1_800_000_000.5],
  ['2027-01-15T08:00:00Z', 1_800_000_000],
  ['2027-01-15 08:00:00.000', 1_800_000_000],
  ['2027-01-15T09:00:00+01:00', 1_800_000_000],
])('%s is a time', (text, seconds) => expect(parseTime(text)).toBe(seconds));

test('what is no time is wrong use', () => {
  expect(() => parseTime('yesterday')).toThrowError(expect.objectContaining({ code: 'usage' }));
});

test('the words say who, for whom, what is left at each link, and who signed', () => {
  const told = tellChain(viewChain(chain), () => 'ada').join('\n');
  expect(told).toContain('ada let the client shop-web act, for: order groceries.');
  expect(told).toContain('The consent is consent-1, version 3.');
  expect(told).toContain(
    '1. storefront handed it to orders at 08:00:00 for 1 min, narrowed to: orders:read payments:charge (without orders:write).',
  );
  expect(told).toContain(
    'narrowed to: payments:charge (without orders:read); at most 2 deep, on to nobody only, for POST /charges only.',
  );
  expect(told).toContain('signed by spiffe://shop.example/ns/demo/sa/orders with the key of WIT wit-of-order…');
  expect(told).toContain('So payments may act with: payments:charge, until 2027-01-15 08:01:00 UTC.');
});

test('a bare root is told too', () => {
  const told = tellChain(viewChain({ ...chain, delegationChain: null, delegationCredentials: null }), () => 'ada');
  expect(told.at(-1)).toBe(
    'So storefront may act with: orders:read orders:write payments:charge, until 2027-01-15 08:01:50 UTC.',
  );
});

test('control characters of a token do not reach the terminal', () => {
  const tctx = { ...mesh.rootClaims().tctx, purpose: 'a\u001b[2Jb' };
  const view = viewChain(forge(mesh, { root: { tctx }, hops: [{ to: 'orders' }] }));
  expect(tellChain(view, () => 'x\u001by').join('')).not.toContain('\u001b');
});

test('no part of a token is shown, in words, in facts, in differences or in a refusal', () => {
  const view = viewChain(chain);
  const shown = [
    JSON.stringify(view),
    ...tellChain(view, (subject) => subject),
    JSON.stringify(diffChains(view, viewChain(otherUser()))),
  ];
  for (const broken of [
    { ...chain, txnToken: `${chain.txnToken}.x` },
    { ...chain, delegationChain: `${chain.delegationChain}, ` },
  ]) {
    try {
      viewChain(broken);
    } catch (error) {
      shown.push((error as BehalfError).message);
    }
  }
  expect(shown.at(-1)).toContain('delegation_malformed');
  const secrets = Object.values(chain).flatMap((value) => value.split(/[., ]+/));
  for (const secret of secrets) expect(shown.join('\n')).not.toContain(secret);
});

test('a chain differs in nothing from itself', () => {
  const view = viewChain(chain);
  expect(diffChains(view, view)).toEqual({ shared: 3, differences: [], relation: 'They are the same chain.' });
});

test('a chain and its continuation: the same up to there, then one link more', () => {
  const longer = viewChain(chain);
  const shorter = { root: longer.root, links: longer.links.slice(0, 1), objects: longer.objects.slice(0, 2) };
  const { relation, differences } = diffChains(shorter, longer);
  expect(relation).toBe('B is A handed on: the same up to link 1.');
  expect(differences).toEqual([{ object: 'link 2', member: 'link', a: null, b: 'orders → payments, payments:charge' }]);
  expect(diffChains(longer, shorter).relation).toBe('A is B handed on: the same up to link 1.');
});

test('links of the same root that part are told member by member', () => {
  const other = viewChain(forgeFrom([{ to: 'inventory', claims: { scope: 'orders:read', exp: mesh.nowS + 30 } }]));
  const { differences } = diffChains(viewChain(forgeFrom([{ to: 'orders' }])), other);
  const members = differences.map(({ object, member }) => `${object} ${member}`);
  expect(members).toEqual(['link 1 to', 'link 1 scope', 'link 1 ends']);
  expect(differences[1]).toMatchObject({ a: 'orders:read orders:write payments:charge', b: 'orders:read' });
});

test('another user’s chain has another root', () => {
  const { relation, shared, differences } = diffChains(viewChain(chain), viewChain(otherUser()));
  expect({ relation, shared }).toEqual({ relation: 'Two roots of different users or workloads.', shared: 0 });
  expect(differences.slice(0, 2).map(({ member }) => member)).toEqual(['txn', 'sub']);
});

function forgeFrom(hops: Parameters<typeof forge>[1]['hops']): ReturnType<typeof forge> {
  return forge(mesh, { hops });
}

function otherUser(): ReturnType<typeof forge> {
  const txn = Buffer.alloc(16, 3).toString('base64url');
  return forge(mesh, {
    root: { sub: `u:${Buffer.alloc(16, 4).toString('base64url')}`, txn },
    hops: [{ to: 'orders' }],
  });
}

test('a payment is told in words at each link, and what is left of it at the end', () => {
  const pay = (amount: string) => ({ type: 'payment', limit: { currency: 'EUR', amount }, creditorName: 'ACME' });
  const paid = forge(mesh, {
    root: { tctx: { ...mesh.rootClaims().tctx, authorization_details: [pay('120.00')] } },
    hops: [{ to: 'orders', claims: { authorization_details: [pay('50')] } }, { to: 'payments' }],
  });
  const told = tellChain(viewChain(paid), () => 'ada');
  expect(told).toContain('In detail: Pay at most 120.00 EUR to “ACME”.');
  expect(told).toContain('   in detail: Pay at most 50.00 EUR to “ACME”');
  expect(told.at(-1)).toMatch(/; in detail: Pay at most 50\.00 EUR to “ACME”\.$/);
});
