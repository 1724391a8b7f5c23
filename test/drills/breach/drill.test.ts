import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ALL_ATTEMPTS } from './attempts/index.ts';
import { runDrill } from './drill.ts';

/** About one in ten, of each kind of attacker; `npm run drill:breach` makes all. */
const SOME = [
  'middle-adds-a-scope',
  'middle-drops-its-own-hop',
  'middle-splices-another-user’s-root-under-front’s-link',
  'header-chain-twice-with-another-user’s',
  'facts-made-up-outside-with-underscores',
  'stolen-handle-at-another-pod',
  'stolen-chain-from-a-workload-that-may-call-back',
  'root-presented-bare',
  'access-token-traded-for-a-fresh-root-by-middle',
  'trace-id-of-two-requests',
  'certificate-bound-token-from-another-client',
  'exit-of-another-workload',
  'websocket-with-a-stolen-handle',
  'patched-sidecar-signs-two-siblings-that-overspend',
  'deferred-reference-stolen-by-another-workload',
];

test('what an attacker tries is refused with its code, and succeeds with exactly that check off', async () => {
  const attempts = ALL_ATTEMPTS.filter(({ name }) => SOME.includes(name));
  const result = await runDrill(
    attempts,
    { untouched: false },
    () => undefined,
    () => undefined,
  );
  expect(result).toEqual({ drill: 'breach', tried: SOME.length, held: SOME.length, failed: [] });
}, 240_000);

test('every attempt has a name of its own and a check that it aims at', () => {
  const names = ALL_ATTEMPTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(60);
  expect(ALL_ATTEMPTS.filter(({ off }) => off.length === 0)).toEqual([]);
});

test('the threat model names each attempt with the code that it gets', () => {
  const page = readFileSync(new URL('../../../docs/threat-model.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `([^`]+)` \| ([^|]+) \| `([^`]+)` \| ([^|]+) \|$/gm)].map(
    ([, ...cells]) => cells,
  );
  expect(rows).toEqual(ALL_ATTEMPTS.map(({ name, has, expect: code, off }) => [name, has, code, off.join(', ')]));
});
