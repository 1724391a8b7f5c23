/** Compares what a command printed with what the README shows. */

/** Hop ids, as the README writes them: the one there stands for the one that is printed in its place. */
const SHOWN_HOP = /(?<=\bhop )[A-Za-z0-9_-]{16}\b/g;

/** What the README's ids are in this run. */
export type Names = Map<string, string>;

/**
 * The first shown line that was not printed after those before it, or null where all were. Learns the ids of this run.
 */
export function firstMissing(shown: readonly string[], printed: string, names: Names): string | null {
  const lines = printed.split('\n').map((line) => line.trim());
  let at = 0;
  for (const expected of shown) {
    const ids = expected.match(SHOWN_HOP) ?? [];
    const pattern = patternOf(expected);
    const found = lines.findIndex((line, index) => index >= at && pattern.test(line));
    if (found < 0) return expected;
    const values = pattern.exec(lines[found]!)!.slice(1);
    for (const [index, id] of ids.entries()) names.set(id, values[index]!);
    at = found + 1;
  }
  return null;
}

/** Commands with this run's ids in the place of the README's. */
export function withNames(commands: string, names: Names): string {
  return [...names].reduce((text, [shown, actual]) => text.replaceAll(shown, actual), commands);
}

function patternOf(line: string): RegExp {
  const literal = (text: string): string => text.split('…').map(RegExp.escape).join('.*');
  const [first, ...rest] = line.split(SHOWN_HOP);
  return new RegExp(`^${[first!, ...rest].map(literal).join('([A-Za-z0-9_-]{16})')}$`);
}
