/** What an app may write into `Delegation-Scope`, and what it gets. */
import { expect, test } from 'vitest';
import { narrowedTo, readAskedScope } from './asked-scope.ts';

const LEFT = ['orders:read', 'orders:write', 'payments:charge'];

test('without the field nothing is asked; other fields of the mesh are none of its business', () => {
  expect(readAskedScope([])).toBeNull();
  expect(readAskedScope(['delegation-scopes', 'orders:read', 'delegation-context', 'x', 'scope', 'y'])).toBeNull();
  expect(narrowedTo(null, LEFT)).toBe(LEFT);
});

test('a subset is given in the order of what is left, so that one set is one link', () => {
  expect(narrowedTo(readAskedScope(['delegation-scope', 'payments:charge orders:read']), LEFT)).toEqual([
    'orders:read',
    'payments:charge',
  ]);
  expect(narrowedTo(readAskedScope(['a', 'b', 'delegation-scope', '']), LEFT)).toEqual([]);
});

test('more than is left is refused with delegation_scope_widened, also beside what is left', () => {
  for (const asked of ['orders:admin', 'orders:read orders:admin', 'orders', 'orders:*', 'ORDERS:READ']) {
    expect(() => narrowedTo(readAskedScope(['delegation-scope', asked]), LEFT)).toThrow(/^delegation_scope_widened/);
  }
  expect(() => narrowedTo(['orders:read'], [])).toThrow(/^delegation_scope_widened/);
});

test('what is no scope value is refused with request_malformed', () => {
  const malformed = [
    ' ',
    ' orders:read',
    'orders:read ',
    'orders:read  orders:write',
    'orders:read\torders:write',
    'orders:read orders:read',
    '"orders:read"',
    'orders\\read',
    'orders:réad',
    'orders:read\u0000',
  ];
  for (const value of malformed) {
    expect(() => readAskedScope(['delegation-scope', value]), JSON.stringify(value)).toThrow(/^request_malformed/);
  }
});

test('twice is refused, whatever the values, and so is another spelling of the name', () => {
  const twice = ['delegation-scope', 'orders:read', 'x', 'y', 'delegation-scope', 'orders:read'];
  expect(() => readAskedScope(twice)).toThrow(/^request_malformed/);
  for (const name of ['delegation_scope', 'Delegation-Scope', 'delegation.scope']) {
    expect(() => readAskedScope([name, 'orders:read']), name).toThrow(/^request_malformed/);
  }
});
