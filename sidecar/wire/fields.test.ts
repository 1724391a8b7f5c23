/** Fields between connections: what passes, and how the rest is told. */
import { expect, test } from 'vitest';
import type { ParsedChain } from '../../delegation/chain/index.ts';
import { errorOfGrpcAnswer } from '../../errors/grpc-status.ts';
import { BehalfError, ERROR_TABLE, type ErrorCode } from '../../errors/index.ts';
import { fieldOf } from '../call/head.ts';
import { chooseLeastLoaded } from '../traffic/choose.ts';
import { endToEnd, headBytes, isGrpc, joinCookies, valuesOf } from './fields.ts';
import { createRefuser, refusalAnswer } from './refusal.ts';
import { createReceivedSlots, createSentSlots } from './slots.ts';

test('hop-by-hop fields stay behind, TE keeps trailers alone, names become lower case, repeats stay', () => {
  const raw = [
    'Host',
    'a',
    'Connection',
    'X-One, close',
    'X-One',
    '1',
    'X-Two',
    '2',
    'x-two',
    '3',
    'TE',
    'gzip, trailers',
    'Upgrade',
    'x',
    'Set-Cookie',
    'a',
    'Set-Cookie',
    'b',
    ':path',
    '/',
  ];
  expect(endToEnd(raw)).toEqual(['x-two', '2', 'x-two', '3', 'set-cookie', 'a', 'set-cookie', 'b', 'te', 'trailers']);
  expect(valuesOf(raw, 'x-two')).toEqual(['2', '3']);
});

test('cookies that HTTP/2 split are one field again', () => {
  expect(joinCookies(['cookie', 'a=1', 'x', 'y', 'cookie', 'b=2'])).toEqual(['x', 'y', 'cookie', 'a=1; b=2']);
  const one = ['cookie', 'a=1'];
  expect(joinCookies(one)).toBe(one);
});

test('gRPC is told by its content type and nothing like it', () => {
  for (const yes of ['application/grpc', 'application/grpc+proto', 'Application/GRPC;x=y'])
    expect(isGrpc(yes)).toBe(true);
  for (const no of [null, '', 'application/grpc-web', 'application/json', 'application/grpcx'])
    expect(isGrpc(no)).toBe(false);
});

test('a head is counted as HTTP/2 counts it', () => {
  expect(headBytes(['ab', 'c', 'd', ''])).toBe(4 + 2 * 32);
});

test('every code is said over gRPC and HTTP so that it can be read back', () => {
  for (const code of Object.keys(ERROR_TABLE) as ErrorCode[]) {
    const error = new BehalfError(code, { why: 'ünïcode % and more' });
    const options = { audience: 'mesh', hop: 'hop', fields: [] } as const;
    const grpc = refusalAnswer(error, { ...options, protocol: 'grpc' });
    expect(grpc.head.status).toBe(200);
    const details = Buffer.from(fieldOf(grpc.head.headers, 'grpc-status-details-bin') as string, 'base64');
    expect(errorOfGrpcAnswer(Number(fieldOf(grpc.head.headers, 'grpc-status')), '', details).code).toBe(code);
    const message = fieldOf(grpc.head.headers, 'grpc-message') as string;
    expect(decodeURIComponent(message)).toMatch(new RegExp(`^${code}: `));
    const http = refusalAnswer(error, { ...options, protocol: 'h2' });
    expect(http.head.status).toBe(ERROR_TABLE[code].http);
    expect(JSON.parse(http.body.toString())).toMatchObject({ code, hop: 'hop' });
    expect(fieldOf(http.head.headers, 'delegation-error')).toBe(code);
  }
});

test('a client outside sees delegation_refused for inner codes, its own mistakes and calls to come back as they are', () => {
  const refuser = createRefuser({ showInnerCodes: false });
  const seen = (code: ErrorCode) => {
    let body = '';
    const asker = {
      started: () => false,
      head: { protocol: 'h2' },
      sendWhole(_head: unknown, sent: Buffer) {
        body = sent.toString();
      },
    };
    refuser.send(
      asker as never,
      { audience: 'outside', hop: 'h', end: null, ending: null, challenge: null },
      new BehalfError(code),
    );
    return (JSON.parse(body) as { code: string }).code;
  };
  for (const inner of [
    'delegation_expired',
    'consent_withdrawn',
    'policy_denied',
    'route_unknown',
    'peer_untrusted',
  ] as const) {
    expect(seen(inner)).toBe('delegation_refused');
  }
  for (const own of [
    'delegation_missing',
    'entry_token_expired',
    'request_malformed',
    'revocation_stale',
    'upstream_timeout',
    'rate_limited',
  ] as const) {
    expect(seen(own)).toBe(own);
  }
});

test('a receiver keeps slots until the chain’s end and 65 s more, and no more than fit', () => {
  let now = 0;
  // Slots look at the size of the values only.
  const chain = { txnToken: 'a', delegationChain: 'b', delegationCredentials: 'c' } as ParsedChain;
  const slots = createReceivedSlots(() => now);
  for (let i = 0; i < 1_024; i += 1) expect(slots.put(`s${i}`, chain, 10)).toBe(true);
  expect(slots.put('one-too-many', chain, 10)).toBe(false);
  expect(slots.put('s0', chain, 10)).toBe(true);
  now = 74;
  expect(slots.get('s5')).not.toBe(null);
  expect(slots.put('one-too-many', chain, 100)).toBe(false);
  now = 75;
  expect(slots.put('one-too-many', chain, 100)).toBe(true);
  expect(slots.get('s5')).toBe(null);
  const big = { ...chain, txnToken: 'x'.repeat(3 * 1_048_576) };
  expect(slots.put('big', big, 100)).toBe(true);
  expect(slots.put('bigger', big, 100)).toBe(false);
});

test('a full slot table makes room chain by chain as they end, in whatever order', () => {
  let now = 0;
  const chain = { txnToken: 'a', delegationChain: 'b', delegationCredentials: 'c' } as ParsedChain;
  const slots = createReceivedSlots(() => now);
  for (let i = 0; i < 1_024; i += 1) slots.put(`s${i}`, chain, 10 + ((i * 7) % 3));
  const taken = (): number => {
    let count = 0;
    while (slots.put(`${now} ${count}`, chain, 1_000)) count += 1;
    return count;
  };
  const room = [75, 76, 77, 78].map((at) => {
    now = at;
    return taken();
  });
  expect(room).toEqual([342, 341, 341, 0]);
});

test('a sender forgets its oldest slots, which then go whole again', () => {
  const slots = createSentSlots();
  for (let i = 0; i <= 1_024; i += 1) slots.acknowledge(`s${i}`);
  expect(slots.acknowledged('s0')).toBe(false);
  expect(slots.acknowledged('s1')).toBe(true);
});

test('the least loaded endpoint gets the call, equals in turn, those in trouble only if all are', () => {
  const load: Record<string, number> = { a: 1, b: 0, c: 0 };
  const pick = (trouble: readonly string[]) =>
    chooseLeastLoaded(
      ['a', 'b', 'c'],
      (name) => load[name] as number,
      (name) => trouble.includes(name),
    );
  expect(new Set([pick([]), pick([]), pick([]), pick([])])).toEqual(new Set(['b', 'c']));
  expect(pick(['b', 'c'])).toBe('a');
  expect(['a', 'b', 'c']).toContain(pick(['a', 'b', 'c']));
});
