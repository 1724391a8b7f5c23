import { expect, test } from 'vitest';
import { median, medianRatio, runRounds, type Work } from './rounds.ts';

const LIMITS = { rounds: 4, turnCpuMs: 0.01, wallMs: 60_000 };

test('every contestant has one turn a round, and the order turns around', async () => {
  const turns: string[] = [];
  const contestant = (name: string): Work => ({
    name,
    leastTimes: 64,
    prepare: () => void turns.push(name),
    run: (times) => {
      for (let i = 0; i < times; i++) Math.hypot(i, times);
    },
  });
  const measured = await runRounds([contestant('a'), contestant('b')], LIMITS);
  expect(turns.slice(-8).join('')).toBe('abbaabba');
  expect(measured.get('a')?.cpuUs).toHaveLength(4);
  expect(measured.get('b')?.p50Ms).toEqual([]);
});

test('requests that say how long they took have a median a round', async () => {
  const answer = async (times: number): Promise<readonly number[]> => {
    for (let i = 0; i < 50_000; i++) Math.hypot(i, times);
    return [3, 1, 2];
  };
  const measured = await runRounds([{ name: 'a', answer }], LIMITS);
  expect(measured.get('a')?.p50Ms).toEqual([2, 2, 2, 2]);
});

test('work that was not done ends the benchmark', async () => {
  const run = (): void => {
    throw new Error('not done');
  };
  await expect(runRounds([{ name: 'a', run }], LIMITS)).rejects.toThrow('not done');
});

test('a ratio is the median of the ratios of each round', () => {
  expect(median([5, 1, 3])).toBe(3);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(medianRatio([2, 30, 4], [1, 10, 4])).toBe(2);
  expect(() => median([])).toThrow(RangeError);
});
