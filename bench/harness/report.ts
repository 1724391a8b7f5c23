/**
 * What a benchmark prints (DESIGN section 11): one JSON line a row on standard output, and a last line with its goals.
 * Progress goes to standard error, so that the output can be read by a program.
 */
import { type MachineFacts, machineFacts } from './machine.ts';

export interface Row {
  /** What was measured, such as `first seen, 3 hops`. */
  readonly row: string;
  /** Such as `cpu` or `p50`. */
  readonly metric: string;
  /** Null where it could not be measured; then `why` says the reason. */
  readonly value: number | null;
  readonly unit: string;
  /** The row that it is compared with, measured in the same run. */
  readonly peer: string | null;
  /** Median over the rounds of this row over its peer. */
  readonly ratio: number | null;
  readonly why?: string;
}

export interface Goal {
  readonly name: string;
  /** As a reader would say it, such as `<= 1.3`. */
  readonly goal: string;
  readonly value: number | null;
  readonly met: boolean;
  readonly why?: string;
}

/** The last line of a benchmark. */
export interface Summary {
  readonly bench: string;
  readonly quick: boolean;
  readonly machine: MachineFacts;
  readonly goals: readonly Goal[];
  readonly met: boolean;
}

export interface Report {
  row(row: Row): void;
  goal(goal: Goal): void;
  progress(what: string): void;
  /** Prints the last line and gives it. */
  finish(): Summary;
}

/** `write` gets lines with their end, `say` lines for people. */
export function openReport(
  { bench, quick }: { bench: string; quick: boolean },
  write: (line: string) => void = (line) => void process.stdout.write(line),
  say: (line: string) => void = (line) => void process.stderr.write(line),
): Report {
  const goals: Goal[] = [];
  return {
    row({ row, metric, value, unit, peer, ratio, why }) {
      const line = { bench, row, metric, value: rounded(value), unit, peer, ratio: rounded(ratio) };
      write(`${JSON.stringify(why === undefined ? line : { ...line, why })}\n`);
    },
    goal: (goal) => goals.push({ ...goal, value: rounded(goal.value) }),
    progress: (what) => say(`${what}\n`),
    finish() {
      const met = goals.length > 0 && goals.every((goal) => goal.met);
      const summary = { bench, quick, machine: machineFacts(), goals, met };
      write(`${JSON.stringify(summary)}\n`);
      return summary;
    },
  };
}

/** A goal of the form "at most": not met where nothing was measured. */
export function atMost(name: string, value: number | null, limit: number, more: { why?: string } = {}): Goal {
  return { name, goal: `<= ${limit}`, value, met: value !== null && value <= limit, ...more };
}

/** Three digits after the point: more would be noise. */
function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 1000) / 1000;
}
