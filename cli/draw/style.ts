/** Colour for people: on a terminal only, never with `--no-color` or `NO_COLOR` (no-color.org). Meaning never rests on it. */

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
  name(text: string): string;
}

const PLAIN: Style = { bold: same, dim: same, good: same, bad: same, name: same };
const COLOURED: Style = {
  bold: (text) => sgr('1', text),
  dim: (text) => sgr('2', text),
  good: (text) => sgr('32', text),
  bad: (text) => sgr('31', text),
  name: (text) => sgr('36', text),
};

/** The style for a stream. */
export function styleFor(stream: { readonly isTTY?: boolean }, noColor: boolean | undefined): Style {
  const off = noColor === true || (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb';
  return stream.isTTY === true && !off ? COLOURED : PLAIN;
}

/** Text of others without control characters, which could otherwise move the cursor or repaint a terminal. */
export function printable(text: string): string {
  let out = '';
  for (const character of text)
    out += character < ' ' || (character >= '\x7f' && character <= '\x9f') ? '?' : character;
  return out;
}

function same(text: string): string {
  return text;
}

function sgr(code: string, text: string): string {
  return `\x1b[${code}m${text}\x1b[0m`;
}
