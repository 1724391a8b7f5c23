import { afterEach, expect, test } from 'vitest';
import { codeOf, type ErrorCode } from '../../../errors/index.ts';
import { parseSpiffeId } from '../../../identity/index.ts';
import { type ContextTable, type ContextTableOptions, createContextTable } from './context.ts';
import type { InboundContext } from './inbound-context.ts';

const ORDERS = parseSpiffeId('spiffe://shop.example/ns/demo/sa/orders');
const INVENTORY = parseSpiffeId('spiffe://shop.example/ns/demo/sa/inventory');
const clock = { s: 1_000_000, ms: 0 };
const tables: ContextTable[] = [];

afterEach(() => {
  for (const table of tables.splice(0)) table.close();
});

function table(options: ContextTableOptions = {}): ContextTable {
  const made = createContextTable({ now: () => clock.s, monotonicMs: () => clock.ms, ...options });
  tables.push(made);
  return made;
}

/** The facts that the table reads; a whole chain is the business of `delegation/`'s own tests. */
function inbound(
  sub = 'u:alice',
  peer: InboundContext['peer'] = null,
  expS = clock.s + 120,
  traceId: string | null = null,
): InboundContext {
  const delegation = { kind: 'root', sub, expS } as unknown as InboundContext['delegation'];
  return { delegation, peer, hopId: Buffer.alloc(12), requestId: Buffer.alloc(12), traceId, traceLink: null };
}

function codeThrown(run: () => unknown): ErrorCode | null {
  try {
    run();
    return null;
  } catch (error) {
    return codeOf(error);
  }
}

test('a handle is 128 bits as unpadded base64url, and resolves to the request that it was made for', () => {
  const contexts = table();
  const [alice, bob] = [inbound('u:alice'), inbound('u:bob')];
  const [a, b] = [contexts.open(alice), contexts.open(bob)];
  expect(Buffer.from(a, 'base64url')).toHaveLength(16);
  expect(a).toMatch(/^[A-Za-z0-9_-]{22}$/);
  expect(a).not.toBe(b);
  expect(contexts.resolve(['delegation-context', a])).toEqual({ inbound: alice, carrier: 'context' });
  expect(contexts.resolve(['delegation-context', b])?.inbound).toBe(bob);
  expect(contexts.resolveHandle(b)).toBe(bob);
});

test('baggage carries a handle beside members of the app’s own and with properties', () => {
  const contexts = table();
  const alice = inbound();
  const handle = contexts.open(alice);
  for (const value of [`dlg=${handle}`, `a=1, dlg=${handle};p=2 ,b=3`, ` dlg = ${handle} `, `%64lg=${handle}`]) {
    expect(contexts.resolve(['baggage', value]), value).toEqual({ inbound: alice, carrier: 'baggage' });
  }
});

test('both carriers of one request are taken, and the stronger is named', () => {
  const contexts = table();
  const handle = contexts.open(inbound());
  const headers = ['baggage', `dlg=${handle}`, 'delegation-context', handle, 'baggage', `x=1,dlg=${handle}`];
  expect(contexts.resolve(headers)?.carrier).toBe('context');
});

test('a call without carriers resolves to nothing', () => {
  const contexts = table();
  contexts.open(inbound());
  expect(contexts.resolve(['host', 'a', 'baggage', 'x=1,dlgx=2', 'traceparent', 'x'])).toBeNull();
});

test('carriers of two requests are context_ambiguous, in either order', () => {
  const contexts = table();
  const [a, b] = [contexts.open(inbound('u:alice')), contexts.open(inbound('u:alice'))];
  expect(codeThrown(() => contexts.resolve(['delegation-context', a, 'baggage', `dlg=${b}`]))).toBe(
    'context_ambiguous',
  );
  expect(codeThrown(() => contexts.resolve(['baggage', `dlg=${b}`, 'delegation-context', a]))).toBe(
    'context_ambiguous',
  );
  expect(codeThrown(() => contexts.resolve(['baggage', `dlg=${b},dlg=${a}`]))).toBe('context_ambiguous');
});

test('a repeated Delegation-Context is context_ambiguous even with the same handle', () => {
  const contexts = table();
  const handle = contexts.open(inbound());
  expect(codeThrown(() => contexts.resolve(['delegation-context', handle, 'delegation-context', handle]))).toBe(
    'context_ambiguous',
  );
});

test('a carrier that is there but unknown or malformed is context_unknown and never falls through to another', () => {
  const contexts = table();
  const handle = contexts.open(inbound());
  const other = Buffer.alloc(16, 7).toString('base64url');
  for (const bad of [
    '',
    other,
    `${handle}=`,
    ` ${handle}`,
    `${handle}, ${handle}`,
    handle.slice(1),
    'x'.repeat(10_000),
  ]) {
    expect(
      codeThrown(() => contexts.resolve(['delegation-context', bad])),
      bad,
    ).toBe('context_unknown');
    expect(
      codeThrown(() => contexts.resolve(['delegation-context', bad, 'baggage', `dlg=${handle}`])),
      bad,
    ).toBe('context_unknown');
  }
  for (const bad of ['dlg', 'dlg=', `dlg;a=${handle}`, `DLG=${other}`, `dlg=%41${handle.slice(1)}`]) {
    expect(
      codeThrown(() => contexts.resolve(['delegation-context', handle, 'baggage', bad])),
      bad,
    ).toBe('context_unknown');
  }
});

test('a handle lingers ten seconds after its response ended, then is context_unknown', () => {
  const contexts = table();
  const handle = contexts.open(inbound());
  clock.ms += 3_600_000;
  expect(codeThrown(() => contexts.resolveHandle(handle))).toBeNull();
  contexts.ended(handle);
  clock.ms += 9_999;
  contexts.ended(handle);
  expect(codeThrown(() => contexts.resolveHandle(handle))).toBeNull();
  clock.ms += 1;
  expect(codeThrown(() => contexts.resolveHandle(handle))).toBe('context_unknown');
});

test('a handle lingers for as long as is configured', () => {
  const contexts = table({ lingerMs: 60_000 });
  const handle = contexts.open(inbound('u:alice', null, clock.s + 300));
  contexts.ended(handle);
  clock.ms += 59_999;
  expect(codeThrown(() => contexts.resolveHandle(handle))).toBeNull();
  clock.ms += 1;
  expect(codeThrown(() => contexts.resolveHandle(handle))).toBe('context_unknown');
});

test('a handle ends with its delegation, without grace: delegation_expired', () => {
  const contexts = table();
  const handle = contexts.open(inbound('u:alice', null, clock.s + 10));
  clock.s += 9.9;
  expect(codeThrown(() => contexts.resolveHandle(handle))).toBeNull();
  clock.s += 0.1;
  expect(codeThrown(() => contexts.resolveHandle(handle))).toBe('delegation_expired');
});

test('a revocation kills the handles that it hits, with its code, and no other', () => {
  const contexts = table();
  const [alice, bob, carol] = [inbound('u:alice'), inbound('u:bob'), inbound('u:carol')].map((one) =>
    contexts.open(one),
  );
  contexts.revoke(({ sub }) => (sub === 'u:alice' ? 'consent_withdrawn' : null));
  contexts.revoke(({ sub }) => (sub !== 'u:carol' ? 'delegation_revoked' : null));
  expect(codeThrown(() => contexts.resolveHandle(alice as string))).toBe('consent_withdrawn');
  expect(codeThrown(() => contexts.resolveHandle(bob as string))).toBe('delegation_revoked');
  expect(codeThrown(() => contexts.resolveHandle(carol as string))).toBeNull();
});

test('a peer with as many running requests as it may have gets context_limit, others go on', () => {
  const contexts = table({ maxPerPeer: 2, maxTotal: 4 });
  const first = contexts.open(inbound('u:a', ORDERS));
  contexts.open(inbound('u:a', ORDERS));
  expect(codeThrown(() => contexts.open(inbound('u:a', ORDERS)))).toBe('context_limit');
  contexts.open(inbound('u:a', INVENTORY));
  contexts.open(inbound('u:a', INVENTORY));
  expect(codeThrown(() => contexts.open(inbound('u:a', null)))).toBe('context_limit');
  expect(codeThrown(() => contexts.resolveHandle(first))).toBeNull();
  expect(contexts.size()).toBe(4);
});

test('at a limit an ended request gives way before a running one is refused', () => {
  const contexts = table({ maxPerPeer: 2, maxTotal: 3 });
  const [oldest, older] = [contexts.open(inbound('u:a', ORDERS)), contexts.open(inbound('u:a', ORDERS))];
  contexts.ended(oldest);
  contexts.ended(older);
  contexts.open(inbound('u:a', ORDERS));
  expect(codeThrown(() => contexts.resolveHandle(oldest))).toBe('context_unknown');
  expect(codeThrown(() => contexts.resolveHandle(older))).toBeNull();
  const kept = contexts.open(inbound('u:a', INVENTORY));
  contexts.open(inbound('u:a', INVENTORY));
  expect(
    codeThrown(() => contexts.resolveHandle(older)),
    'the fullest peer’s',
  ).toBe('context_unknown');
  expect(codeThrown(() => contexts.resolveHandle(kept))).toBeNull();
  expect(contexts.size()).toBe(3);
});

test('a hundred thousand short requests leave no more than the bound behind', () => {
  const contexts = table({ maxPerPeer: 1_000, maxTotal: 2_000 });
  for (let i = 0; i < 100_000; i += 1) contexts.ended(contexts.open(inbound('u:a', i % 2 === 0 ? ORDERS : null)));
  expect(contexts.size()).toBe(2_000);
});

test('no error names a handle', () => {
  const contexts = table();
  const handle = contexts.open(inbound('u:a', null, clock.s));
  const other = contexts.open(inbound('u:b'));
  for (const headers of [
    ['delegation-context', handle],
    ['delegation-context', handle.slice(2)],
    ['delegation-context', other, 'baggage', `dlg=${handle}`],
  ]) {
    try {
      contexts.resolve(headers);
      expect.unreachable();
    } catch (error) {
      expect((error as Error).stack).not.toContain(handle.slice(2));
      expect(JSON.stringify(error)).not.toContain(handle.slice(2));
    }
  }
});

const TRACE = 'b'.repeat(32);
const traceParent = (traceId: string) => `00-${traceId}-00f067aa0ba902b7-01`;

/** As the steps of a call do: noted before it is judged, bound once it is let in. */
function openTraced(contexts: ContextTable, traceId: string, sub = 'u:alice'): string {
  contexts.traceBegan(traceId, '');
  return contexts.open(inbound(sub, null, clock.s + 120, traceId));
}

test('a trace id is read only where that is switched on, and then also beside stronger carriers', () => {
  const off = table();
  openTraced(off, TRACE);
  expect(off.resolve(['traceparent', traceParent(TRACE)])).toBeNull();
  const on = table({ traceIds: {} });
  const handle = openTraced(on, TRACE);
  expect(on.resolve(['traceparent', traceParent(TRACE)])?.carrier).toBe('trace');
  expect(on.resolve(['traceparent', traceParent(TRACE), 'baggage', `dlg=${handle}`])?.carrier).toBe('baggage');
  expect(on.resolve(['delegation-context', handle, 'traceparent', traceParent(TRACE)])?.carrier).toBe('context');
});

test('a trace id and a handle of two requests are context_ambiguous', () => {
  const contexts = table({ traceIds: {} });
  openTraced(contexts, TRACE, 'u:alice');
  const bob = openTraced(contexts, 'c'.repeat(32), 'u:bob');
  const headers = ['delegation-context', bob, 'traceparent', traceParent(TRACE)];
  expect(codeThrown(() => contexts.resolve(headers))).toBe('context_ambiguous');
});

test('a trace id that two requests carried is context_ambiguous, also beside a good handle and once one has ended', () => {
  const contexts = table({ traceIds: {} });
  const alice = openTraced(contexts, TRACE, 'u:alice');
  contexts.ended(alice);
  contexts.traceEnded(TRACE);
  openTraced(contexts, TRACE, 'u:bob');
  expect(codeThrown(() => contexts.resolve(['traceparent', traceParent(TRACE)]))).toBe('context_ambiguous');
  const both = ['delegation-context', alice, 'traceparent', traceParent(TRACE)];
  expect(codeThrown(() => contexts.resolve(both))).toBe('context_ambiguous');
});

test('a traceparent that is unknown, malformed or repeated is context_unknown and never falls through', () => {
  const contexts = table({ traceIds: {} });
  const handle = openTraced(contexts, TRACE);
  const good = ['traceparent', traceParent(TRACE)];
  for (const bad of [
    ['traceparent', 'x'],
    ['traceparent', traceParent('d'.repeat(32))],
    [...good, ...good],
  ]) {
    expect(codeThrown(() => contexts.resolve(bad))).toBe('context_unknown');
    expect(codeThrown(() => contexts.resolve(['delegation-context', handle, ...bad]))).toBe('context_unknown');
  }
});

test('a trace id lives no longer than the handle of its request, and is revoked with it', () => {
  const contexts = table({ traceIds: {} });
  const handle = openTraced(contexts, TRACE);
  contexts.revoke(() => 'consent_withdrawn');
  expect(codeThrown(() => contexts.resolve(['traceparent', traceParent(TRACE)]))).toBe('consent_withdrawn');
  const later = openTraced(contexts, 'e'.repeat(32));
  contexts.ended(handle);
  contexts.ended(later);
  contexts.traceEnded('e'.repeat(32));
  clock.ms += 10_000;
  expect(codeThrown(() => contexts.resolve(['traceparent', traceParent('e'.repeat(32))]))).toBe('context_unknown');
});
