/** What commands write: text for a person, or one JSON object as the last line for a program. */
import type { ExitCode } from './command.ts';

/** Writes the answer line of `--json`. */
export function answer(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Writes lines for a person. */
export function say(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Ends a command that answered: as JSON where asked for, else as the lines. */
export function respond(
  json: boolean | undefined,
  value: object,
  lines: () => readonly string[],
  code: ExitCode = 0,
): ExitCode {
  if (json === true) answer(value);
  else say(...lines());
  return code;
}

/** Lays rows out in columns. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((so, row) => row.map((cell, at) => Math.max(so[at] ?? 0, cell.length)), []);
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at]!))
      .join('  ')
      .trimEnd(),
  );
}
