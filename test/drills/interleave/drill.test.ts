import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { PEER_NAMES, type PeerName } from '../../peers/peers.ts';
import { runDrill } from './drill.ts';

const SEED = 'npm test';
const GUESSING = fileURLToPath(new URL('../../mesh/patches/guessing.ts', import.meta.url));

/** What the record says of how each app named its request. */
const CARRIERS: Readonly<Record<PeerName, string>> = {
  'node-copy': 'context',
  'node-hook': 'context',
  'node-otel': 'baggage',
  'node-trace': 'trace',
  'python-copy': 'context',
  'python-otel': 'baggage',
  'go-copy': 'context',
  'go-otel': 'baggage',
};

test('1,000 interleaved requests through apps of each way: always the right user, and nobody where the context was lost', async () => {
  const carriers = new Map<string, Set<string>>();
  const { tally, ...result } = await runDrill(
    {
      count: 1_000,
      seed: SEED,
      users: 10,
      before: async (running) => {
        for (const { event } of await running.hops()) {
          if (event.body !== 'hop' || event.hop.side !== 'SIDE_CALLER' || event.hop.code !== '') continue;
          const name = event.hop.caller.split('/').at(-1) as string;
          carriers.set(name, (carriers.get(name) ?? new Set()).add(event.hop.carrier));
        }
      },
    },
    () => undefined,
  );
  process.stderr.write(`${JSON.stringify(tally)}\n`);
  expect(result).toEqual({ drill: 'interleave', tried: 1_000, held: 1_000, failed: [] });
  for (const way of PEER_NAMES.filter((name) => name in tally.ways)) {
    expect([...(carriers.get(way) ?? [])], way).toEqual([CARRIERS[way]]);
  }
  expect(Object.keys(tally.ways)).toEqual(
    expect.arrayContaining(['node-copy', 'node-hook', 'node-otel', 'node-trace']),
  );
  expect(Object.values(tally.ways).reduce((sum, { denied }) => sum + denied, 0)).toBeGreaterThan(0);
}, 300_000);

test('the drill sees a sidecar that guesses: wrong users, and calls let through that named no request', async () => {
  const { tally, failed, held, tried } = await runDrill(
    {
      count: 400,
      seed: SEED,
      users: 4,
      ways: ['node-copy'],
      nodeArgs: (child) => (child.endsWith(' sidecar') ? ['--import', GUESSING] : []),
    },
    () => undefined,
  );
  expect(held).toBeLessThan(tried);
  expect(tally.ways['node-copy']?.guessed).toBeGreaterThan(0);
  expect(tally.ways['node-copy']?.wrongUser).toBeGreaterThan(0);
  const wrong = failed as { dropped: boolean; status: number }[];
  expect(wrong.some(({ dropped, status }) => !dropped && status === 200)).toBe(true);
}, 180_000);
