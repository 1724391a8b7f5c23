/** The arguments that all benchmarks take, and what they mean for the length of a run. */
import { parseArgs } from 'node:util';
import type { RoundLimits } from './rounds.ts';

const FULL: RoundLimits = { rounds: 15, turnCpuMs: 80, wallMs: 60_000 };
/** Sections of at most four seconds, plus start and calibration: under 50 s even on a busy machine. */
const QUICK: RoundLimits = { rounds: 7, turnCpuMs: 12, wallMs: 4_000 };

/** @throws {TypeError} for arguments that it does not know */
export function readOptions(args: readonly string[]): { readonly quick: boolean; readonly limits: RoundLimits } {
  const { quick } = parseArgs({ args: [...args], options: { quick: { type: 'boolean', default: false } } }).values;
  return { quick, limits: quick ? QUICK : FULL };
}
