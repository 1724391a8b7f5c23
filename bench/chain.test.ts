/** That the benchmark's lines keep their contract (DESIGN section 11) and that its checks see work that was not done. No times. */
import { beforeAll, expect, test } from 'vitest';
import { attenuated, type BiscuitHops, loadBiscuit } from './chain/biscuit.ts';
import { type BenchMesh, createBenchMesh } from './chain/hops.ts';
import { measureKnown } from './chain/known.ts';
import { AT_ONCE, allAtOnce, delegated, signAndVerify } from './chain/many.ts';
import { measureWireSize } from './chain/wire-size.ts';
import { atMost, openReport } from './harness/report.ts';

const LIMITS = { rounds: 3, turnCpuMs: 1, wallMs: 1_000 };
const ROW = ['bench', 'metric', 'peer', 'ratio', 'row', 'unit', 'value'];

let bench: BenchMesh;
let biscuit: BiscuitHops;
beforeAll(async () => {
  bench = createBenchMesh();
  biscuit = await loadBiscuit(bench);
});

test('every row is a line of JSON with the members of the contract, and the last line has the goals', async () => {
  const lines: string[] = [];
  const report = openReport(
    { bench: 'chain', quick: true },
    (line) => lines.push(line),
    () => undefined,
  );
  await measureWireSize(bench, report);
  await measureKnown(bench, report, LIMITS);
  report.finish();
  expect(lines.every((line) => line.endsWith('\n') && line.indexOf('\n') === line.length - 1)).toBe(true);
  const values = lines.map((line) => JSON.parse(line));
  const summary = values.pop();
  const names = values.map(({ row }) => row);
  for (const row of values) {
    expect(Object.keys(row).toSorted()).toEqual(ROW);
    expect(row.bench).toBe('chain');
    expect(row.value).toBeGreaterThan(0);
    if (row.peer !== null) expect(names).toContain(row.peer);
  }
  expect(Object.keys(summary)).toEqual(['bench', 'quick', 'machine', 'goals', 'met']);
  expect(summary.goals.map(({ name }: { name: string }) => name)).toHaveLength(2);
  expect(summary.met).toBe(summary.goals.every(({ met }: { met: boolean }) => met));
  const bytes = values.filter(({ metric }) => metric === 'bytes').map(({ value }) => value);
  expect(bytes.every((value, i) => i % 2 === 1 || value > bytes[i + 1])).toBe(true);
});

test('what was not measured is not met', () => {
  expect(atMost('a', null, 1.3, { why: 'not there' })).toEqual({
    name: 'a',
    goal: '<= 1.3',
    value: null,
    met: false,
    why: 'not there',
  });
  expect(atMost('a', 1.3, 1.3).met).toBe(true);
  expect(atMost('a', 1.301, 1.3).met).toBe(false);
});

test('a benchmark without a goal has met none', () => {
  expect(
    openReport(
      { bench: 'x', quick: true },
      () => undefined,
      () => undefined,
    ).finish().met,
  ).toBe(false);
});

test.each([
  ['Behalf chain', () => delegated(bench, 'a')],
  ['plain', () => signAndVerify(bench, 'a')],
  ['Biscuit', () => attenuated(biscuit, 'a')],
])('traffic by %s does every request', async (_, make) => {
  const contestant = make();
  contestant.prepare?.(AT_ONCE + 1);
  expect(await contestant.answer(AT_ONCE + 1)).toHaveLength(AT_ONCE + 1);
});

test('no more requests are under way than are said to be', async () => {
  let underWay = 0;
  let most = 0;
  await allAtOnce(100, async () => {
    underWay += 1;
    most = Math.max(most, underWay);
    await Promise.resolve();
    underWay -= 1;
  });
  expect(most).toBe(AT_ONCE);
});

test('a Biscuit is refused by another receiver, with another hop, and where a character was changed', () => {
  const token = biscuit.attenuate(biscuit.newRoot(), 0);
  expect(() => biscuit.verify(token, 0)).not.toThrow();
  expect(refused(() => biscuit.verify(token, 1))).toBe(true);
  expect(refused(() => biscuit.verify(biscuit.attenuate(token, 2), 1))).toBe(true);
  expect(
    refused(() => biscuit.verify(`${token.slice(0, 80)}${token[80] === 'A' ? 'B' : 'A'}${token.slice(81)}`, 0)),
  ).toBe(true);
});

/** The library throws plain objects. */
function refused(run: () => void): boolean {
  try {
    run();
  } catch {
    return true;
  }
  return false;
}
