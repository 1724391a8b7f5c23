/** How the story is told: numbered acts, plain lines, outcomes. */
import type { Style } from '../draw/style.ts';
import { wrap } from '../draw/wrap.ts';

export interface Teller {
  readonly style: Style;
  act(number: number, title: string): void;
  /** Lines as they are: tables, trees, commands to copy. */
  line(...lines: readonly string[]): void;
  /** Sentences, each broken to fit the terminal. */
  prose(...sentences: readonly string[]): void;
  /** An outcome that is as it should be, or not. */
  check(holds: boolean, text: string): void;
  /** Whether every outcome so far was as it should be. */
  allHold(): boolean;
}

/** `out` is written to; what is no terminal gets each sentence as one line. */
export function createTeller(
  style: Style,
  out: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number },
): Teller {
  let holds = true;
  const fitted = (sentence: string, indent: number): string[] =>
    wrap(sentence, out.isTTY === true ? (out.columns ?? 80) - indent : Number.POSITIVE_INFINITY);
  const write = (text: string): void => {
    out.write(`${text}\n`);
  };
  return {
    style,
    act: (number, title) => write(`\n${style.bold(`${number}. ${title}`)}\n`),
    line: (...lines) => {
      for (const line of lines) write(line === '' ? '' : `   ${line}`);
    },
    prose: (...sentences) => {
      for (const sentence of sentences) for (const line of fitted(sentence, 3)) write(line === '' ? '' : `   ${line}`);
    },
    check: (good, text) => {
      holds &&= good;
      const lines = fitted(`${good ? style.good('✓') : style.bad('✗ NOT AS IT SHOULD BE:')} ${text}`, 5);
      for (const [at, line] of lines.entries()) write(`${at === 0 ? '   ' : '     '}${line}`);
    },
    allHold: () => holds,
  };
}
