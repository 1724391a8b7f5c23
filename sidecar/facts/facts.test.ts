import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codeOf } from '../../errors/index.ts';
import { parseSpiffeId } from '../../identity/index.ts';
import type { InboundContext } from '../call/context/inbound-context.ts';
import { dlgValues, factHeaders, isMeshHeader, stripBaggage, stripMeshHeaders, stripRouteOverrides } from './index.ts';

const HANDLE = 'AAAAAAAAAAAAAAAAAAAAAA';

function inbound(facts: Partial<InboundContext['delegation']> = {}): InboundContext {
  const actors = [
    parseSpiffeId('spiffe://shop.example/ns/demo/sa/storefront'),
    parseSpiffeId('spiffe://shop.example/o'),
  ];
  const delegation = {
    sub: 'u:alice',
    scope: ['orders:read', 'payments:charge'],
    clientId: 'shop-web',
    actors,
    ...facts,
  };
  return {
    delegation: delegation as unknown as InboundContext['delegation'],
    peer: null,
    hopId: Buffer.alloc(12),
    requestId: Buffer.alloc(12),
    traceId: null,
    traceLink: null,
  };
}

test('the mesh’s own fields are known in any spelling that a server may fold to them', () => {
  const own = ['Delegation-Subject', 'DELEGATION_SCOPES', 'delegation.context', 'Txn-Token', 'txn_token', 'dlg', 'DLG'];
  for (const name of own) expect(isMeshHeader(name), name).toBe(true);
  const others = [
    'delegation',
    'x-delegation-subject',
    'txn-token-2',
    'dlgs',
    'baggage',
    'delegations',
    '',
    'authorization',
  ];
  for (const name of others) expect(isMeshHeader(name), name).toBe(false);
});

const spelled = (name: string) =>
  fc
    .tuple(
      fc.array(fc.boolean(), { minLength: name.length, maxLength: name.length }),
      fc.constantFrom('-', '_', '.', '~'),
    )
    .map(([upper, dash]) =>
      [...name]
        .map((char, i) => (upper[i] ? char.toUpperCase() : char))
        .join('')
        .replaceAll('-', dash),
    );
const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/);
const meshName = fc.oneof(
  token.chain((rest) => spelled(`delegation-${rest}`)),
  spelled('txn-token'),
  spelled('dlg'),
);
const otherName = token.filter((name) => !/^(delegation-|txn-token$|dlg$|baggage$)/.test(name));

test('whatever is mixed in, stripping leaves exactly the other fields, in order', () => {
  const field = fc.oneof(
    fc.record({ name: meshName, value: fc.string(), own: fc.constant(true) }),
    fc.record({ name: otherName, value: fc.string(), own: fc.constant(false) }),
  );
  fc.assert(
    fc.property(fc.array(field), (fields) => {
      const stripped = stripMeshHeaders(fields.flatMap(({ name, value }) => [name, value]));
      expect(stripped).toEqual(fields.filter(({ own }) => !own).flatMap(({ name, value }) => [name, value]));
      expect(stripMeshHeaders(stripped)).toEqual(stripped);
    }),
  );
});

const member = fc.record({
  key: fc.stringMatching(/^[a-zA-Z0-9!#$&'*+.^_`|~-]{1,10}$/).filter((key) => key.toLowerCase() !== 'dlg'),
  value: fc.stringMatching(/^[a-zA-Z0-9%+/=-]{0,12}$/),
  tail: fc.constantFrom('', ';p', ';p=1', ' ; p=dlg '),
});
const dlg = fc.record({
  key: fc.constantFrom('dlg', 'DLG', 'Dlg', '%64lg', '%64%6C%67', '%44lg'),
  value: fc.stringMatching(/^[A-Za-z0-9_-]{0,22}$/),
  tail: fc.constantFrom('', ';p=1'),
});
const space = fc.constantFrom('', ' ', '\t');

test('baggage keeps the app’s members byte for byte and gives up each dlg', () => {
  const members = fc.array(
    fc.oneof(
      fc.record({ one: member, own: fc.constant(false), before: space, after: space }),
      fc.record({ one: dlg, own: fc.constant(true), before: space, after: space }),
    ),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(members, (all) => {
      const text = ({ one, before, after }: (typeof all)[number]) =>
        `${before}${one.key}${before}=${one.value}${one.tail}${after}`;
      const value = all.map(text).join(',');
      const rest = all
        .filter(({ own }) => !own)
        .map(text)
        .join(',')
        .trim();
      expect(stripBaggage(value)).toBe(rest === '' ? null : rest);
      expect(dlgValues(value)).toEqual(all.filter(({ own }) => own).map(({ one }) => one.value));
      expect(dlgValues(stripBaggage(value) ?? '')).toEqual([]);
    }),
  );
});

test('no text makes the reading of baggage throw, and what is stripped has no dlg left', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[dDlLgG%4647c=;, ]*$/)), (value) => {
      expect(dlgValues(stripBaggage(value) ?? '')).toEqual([]);
    }),
  );
});

test('baggage lines are stripped each on its own, and go when nothing is left', () => {
  const headers = ['baggage', 'dlg=x', 'Baggage', 'a=1,dlg=y', 'baggage', 'b=2', 'x', '1'];
  expect(stripMeshHeaders(headers)).toEqual(['baggage', 'a=1', 'baggage', 'b=2', 'x', '1']);
});

test('the app reads subject, scopes, client and actors, and gets the handle in both carriers', () => {
  expect(factHeaders(inbound(), HANDLE, 'a=1')).toEqual([
    'delegation-subject',
    'u:alice',
    'delegation-scopes',
    'orders:read payments:charge',
    'delegation-client',
    'shop-web',
    'delegation-actors',
    'spiffe://shop.example/ns/demo/sa/storefront, spiffe://shop.example/o',
    'delegation-context',
    HANDLE,
    'baggage',
    `dlg=${HANDLE},a=1`,
  ]);
});

test('a workload’s own call has no client, and no scope is an empty list', () => {
  const headers = factHeaders(inbound({ clientId: null, scope: [] }), HANDLE, null);
  expect(headers).not.toContain('delegation-client');
  expect(headers[headers.indexOf('delegation-scopes') + 1]).toBe('');
  expect(headers.slice(-2)).toEqual(['baggage', `dlg=${HANDLE}`]);
});

test('a claim that would break the head is refused, not sent', () => {
  for (const clientId of ['a\r\nx: 1', 'a\0', 'ä', '\u007f']) {
    try {
      factHeaders(inbound({ clientId }), HANDLE, null);
      expect.unreachable();
    } catch (error) {
      expect(codeOf(error)).toBe('delegation_malformed');
    }
  }
});

test('fields by which an app would serve another route than the judged one do not reach it, in any spelling', () => {
  const overrides = ['X-HTTP-Method-Override', 'x-http-method', 'X-Method-Override', 'X_Original_URL', 'x-rewrite-url'];
  const headers = ['a', '1', ...overrides.flatMap((name) => [name, 'DELETE']), 'x-http-methods', '2'];
  expect(stripRouteOverrides(headers)).toEqual(['a', '1', 'x-http-methods', '2']);
  const none = ['a', 'x-http-method'];
  expect(stripRouteOverrides(none)).toBe(none);
});
