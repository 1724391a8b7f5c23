/** How the story is told: numbered acts, plain lines, outcomes. */
import type { Style } from '../draw/style.ts';

export interface Teller {
  readonly style: Style;
  act(number: number, title: string): void;
  line(...lines: readonly string[]): void;
  /** An outcome that is as it should be, or not. */
  check(holds: boolean, text: string): void;
  /** Whether every outcome so far was as it should be. */
  allHold(): boolean;
}

export function createTeller(style: Style, out: NodeJS.WritableStream): Teller {
  let holds = true;
  const write = (text: string): void => {
    out.write(`${text}\n`);
  };
  return {
    style,
    act: (number, title) => write(`\n${style.bold(`${number}. ${title}`)}\n`),
    line: (...lines) => {
      for (const line of lines) write(line === '' ? '' : `   ${line}`);
    },
    check: (good, text) => {
      holds &&= good;
      write(`   ${good ? style.good('✓') : style.bad('✗ NOT AS IT SHOULD BE:')} ${text}`);
    },
    allHold: () => holds,
  };
}
