import { expect, test } from 'vitest';
import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import { createPeerTable } from './peer-table.ts';

const A = parseSpiffeId('spiffe://shop.example/a');
const B = parseSpiffeId('spiffe://shop.example/b');

test('a peer that floods pushes out its own entries, least recently used first', () => {
  const table = createPeerTable<number>({ maxEntries: 100, maxPerPeer: 3 });
  table.put(B, 'kept', 0);
  for (let i = 0; i < 3; i++) table.put(A, `k${i}`, i);
  table.find(A, 'k0');
  table.put(A, 'k3', 3);
  expect(['k0', 'k1', 'k2', 'k3'].map((key) => table.find(A, key))).toEqual([0, null, 2, 3]);
  expect(table.find(B, 'kept')).toBe(0);
  expect(table.size).toBe(4);
});

test('where the whole is full the peer with most entries gives one up', () => {
  const table = createPeerTable<number>({ maxEntries: 3, maxPerPeer: 3 });
  for (let i = 0; i < 3; i++) table.put(A, `k${i}`, i);
  table.put(B, 'new', 9);
  expect([table.find(A, 'k0'), table.find(B, 'new'), table.size]).toEqual([null, 9, 3]);
});

test('an entry put again counts once, and another peer does not find it', () => {
  const table = createPeerTable<number>({ maxEntries: 10, maxPerPeer: 10 });
  table.put(A, 'k', 1);
  table.put(A, 'k', 2);
  expect([table.find(A, 'k'), table.find(B, 'k'), table.size]).toEqual([2, null, 1]);
  expect([table.evict((value) => value === 2), table.size]).toEqual([1, 0]);
});
