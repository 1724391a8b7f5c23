/** Waiting in tests: for a condition, with a bound that a loaded machine keeps too. */
import { vi } from 'vitest';

const WITHIN_MS = 10_000;

export function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: WITHIN_MS, interval: 20 });
}
