/**
 * A YAML or JSON document that a person wrote: its value, and the line of each place in it, so that a refusal of
 * `edges[1].to` says where that stands.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
} from 'yaml';
import { BehalfError } from '../../errors/index.ts';

export interface YamlFile {
  readonly value: unknown;
  readonly place: FilePlace;
}

/** A file, and the line of a place such as `services.orders.routes[2].method` in it; null where there is nothing of it. */
export interface FilePlace {
  readonly file: string;
  lineOf(at: string): number | null;
}

/**
 * Reads the text; duplicate keys and more than one document are refused.
 * @throws {BehalfError} `snapshot_invalid`, with file and line
 */
export function readYamlFile(text: string, file: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { uniqueKeys: true, strict: true, lineCounter: lines });
  const [defect] = [...document.errors, ...document.warnings];
  if (defect !== undefined) {
    const why = defect.message.split('\n')[0]?.replace(/ at line \d.*$/, '') ?? '';
    throw new BehalfError('snapshot_invalid', { at: `${file}:${lines.linePos(defect.pos[0]).line}`, why });
  }
  const resolve = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
  const lineOf = (at: string): number | null => {
    let found: number | null = null;
    let node: unknown = document.contents;
    let rest = at;
    while (rest !== '') {
      const step = stepInto(resolve(node), rest);
      // What is missing has no place of its own: its nearest parent's counts.
      if (step === null) break;
      if (step.start !== undefined) found = lines.linePos(step.start).line;
      ({ node, rest } = step);
    }
    return found;
  };
  return { value: plainValue(document, file), place: { file, lineOf } };
}

/** Aliases that lead nowhere or unfold to too much show only here. */
function plainValue(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'cannot be read';
    throw new BehalfError('snapshot_invalid', { at: file, why: why.slice(0, 200) }, { cause });
  }
}

/**
 * Runs what reads a document or judges it, and gives its refusals the file and line: `at` becomes `<file>:<line>`, `key` the
 * place in the document.
 */
export function inFile<T>({ file, lineOf }: FilePlace, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (!(cause instanceof BehalfError) || cause.code !== 'snapshot_invalid') throw cause;
    const { at, ...detail } = cause.detail;
    const key = typeof at === 'string' && at !== 'document' ? at : null;
    const line = key === null ? null : lineOf(key);
    throw new BehalfError(
      'snapshot_invalid',
      { at: line === null ? file : `${file}:${line}`, ...(key === null ? {} : { key }), ...detail },
      { cause },
    );
  }
}

interface Step {
  readonly node: unknown;
  /** What of the place is still to be found below it. */
  readonly rest: string;
  /** Where in the text it begins. */
  readonly start: number | undefined;
}

/** One step of a place into a map or list. Keys may hold dots and brackets themselves: the longest that fits is meant. */
function stepInto(node: unknown, place: string): Step | null {
  if (isSeq(node)) {
    const index = /^\[(\d+)\]/.exec(place);
    const item = index === null ? undefined : (node.items[Number(index[1])] as Node | undefined);
    if (index === null || item === undefined) return null;
    return { node: item, rest: afterStep(place, index[0].length), start: item.range?.[0] };
  }
  if (!isMap<ParsedNode>(node)) return null;
  let found: Step | null = null;
  let longest = -1;
  for (const { key, value } of node.items) {
    if (!isScalar(key)) continue;
    const name = String(key.value);
    const fits = place.startsWith(name) && ['', '.', '['].includes(place.charAt(name.length));
    if (!fits || name.length <= longest) continue;
    longest = name.length;
    found = { node: value, rest: afterStep(place, longest), start: key.range?.[0] };
  }
  return found;
}

function afterStep(place: string, length: number): string {
  return place.slice(place.charAt(length) === '.' ? length + 1 : length);
}
