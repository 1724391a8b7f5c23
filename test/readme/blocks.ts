/**
 * The README's walk-through as data. An HTML comment before a block says what it is:
 *
 *     <!-- walkthrough: run -->             commands, run in one shell after another
 *     <!-- walkthrough: background -->      commands that stay up until the end, in a shell of their own
 *     <!-- walkthrough: story -->           what `npm start` prints
 *     <!-- walkthrough: file PATH -->       a part of that file
 *
 * A `text` block right after commands is what they print: lines in order, others may stand between; `…` is anything.
 */

export interface Block {
  readonly kind: string;
  /** What stands after the kind; empty where nothing does. */
  readonly argument: string;
  readonly text: string;
  /** The output shown after it. */
  readonly output: readonly string[];
}

const FENCE = '```';
const MARK = /^<!-- walkthrough: (\w+)(?: (\S+))? -->$/;

/** All marked blocks. @throws Error for a mark without a block, and for commands (`sh`) without a mark, which nobody would run */
export function walkthroughOf(markdown: string): Block[] {
  const lines = markdown.split('\n');
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const mark = MARK.exec(lines[at]!);
    if (mark === null) {
      if (lines[at] === `${FENCE}sh`) throw new Error(`README line ${at + 1}: commands without a mark are never run`);
      continue;
    }
    const block = readFence(lines, at + 1);
    if (block === null) throw new Error(`README line ${at + 1}: no block follows the mark`);
    const output = mark[1] === 'run' || mark[1] === 'background' ? readFence(lines, block.after) : null;
    const shown = output?.language === 'text' ? output : null;
    blocks.push({ kind: mark[1]!, argument: mark[2] ?? '', text: block.text, output: outputLines(shown?.text ?? '') });
    at = (shown ?? block).after - 1;
  }
  return blocks;
}

interface Fenced {
  readonly language: string;
  readonly text: string;
  /** Line after the block. */
  readonly after: number;
}

function readFence(lines: readonly string[], at: number): Fenced | null {
  if (!lines[at]?.startsWith(FENCE)) return null;
  const end = lines.indexOf(FENCE, at + 1);
  if (end < 0) return null;
  return { language: lines[at]!.slice(FENCE.length), text: lines.slice(at + 1, end).join('\n'), after: end + 1 };
}

/** Lines of a shown output that say something. */
export function outputLines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && line !== '…');
}
