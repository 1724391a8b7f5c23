/** Breaks sentences into lines that fit a terminal. */
import { stripVTControlCharacters } from 'node:util';

/** Narrower than this nothing is broken: it would only get worse. */
const LEAST_WIDTH = 30;

/** The lines of a sentence, broken at spaces so that each has `width` columns at most where its words allow that. */
export function wrap(sentence: string, width: number): string[] {
  const [first = '', ...words] = sentence.split(' ');
  const lines: string[] = [];
  let line = first;
  for (const word of words) {
    if (line !== '' && columnsOf(line) + 1 + columnsOf(word) > Math.max(width, LEAST_WIDTH)) {
      lines.push(line);
      line = word;
    } else line += ` ${word}`;
  }
  return [...lines, line];
}

/** Columns of a text, without its colours. Ours has one column a character. */
function columnsOf(text: string): number {
  return stripVTControlCharacters(text).length;
}
