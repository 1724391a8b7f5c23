/**
 * A part's configuration: one YAML file, over it the environment (`BEHALF_…`), over that the flags. Judged as a whole by the
 * part's JSON Schema; unknown keys are refused.
 */
import { readFileSync } from 'node:fs';
import { type Document, isMap, isScalar, LineCounter, type Pair, parseDocument } from 'yaml';
import { BehalfError } from '../../errors/index.ts';
import { type JsonSchema, type Setting, settingsOf } from './schema.ts';
import { type Locate, validateConfig } from './validate.ts';

/** More than any configuration needs; a guard against the wrong file. */
const MAX_CONFIG_BYTES = 1_048_576;

export interface ConfigSources {
  readonly schema: JsonSchema;
  /** Path of the YAML file; null where all comes from environment and flags. */
  readonly file: string | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Values of the flags that `settingsOf` names, by flag. */
  readonly flags: Readonly<Record<string, unknown>>;
}

type Path = readonly (string | number)[];
type Tree = { [name: string]: unknown };

/**
 * Reads and judges a configuration.
 * @throws {BehalfError} `config_invalid`, naming file, line and key
 */
export function loadConfig<T>(sources: ConfigSources): T {
  const { tree, locate } = sources.file === null ? { tree: {}, locate: () => ({}) } : readYaml(sources.file);
  const overridden = new Map<string, string>();
  for (const setting of settingsOf(sources.schema)) {
    const variable = sources.environment[setting.variable];
    const flag = sources.flags[setting.flag];
    if (variable !== undefined) override(tree, setting, variable, setting.variable, overridden);
    if (flag !== undefined) override(tree, setting, flag, `--${setting.flag}`, overridden);
  }
  return validateConfig<T>(sources.schema, tree, (path) => {
    const from = overridden.get(path.join('.'));
    return from === undefined ? locate(path) : { from };
  });
}

/** Reads a YAML file to a plain tree, with a function that finds the line of a path. */
export function readYaml(file: string): { tree: Tree; locate: Locate } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new BehalfError(
      'config_invalid',
      { file, why: `cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})` },
      { cause },
    );
  }
  if (text.length > MAX_CONFIG_BYTES)
    throw new BehalfError('config_invalid', { file, why: `is larger than ${MAX_CONFIG_BYTES} bytes` });
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, maxAliasCount: 0 } as Parameters<
    typeof parseDocument
  >[1]);
  const fault = document.errors[0];
  if (fault !== undefined) {
    throw new BehalfError('config_invalid', {
      file,
      line: lines.linePos(fault.pos[0]).line,
      why: fault.message.split('\n')[0]!.replace(/ at line .*$/, ''),
    });
  }
  const tree: unknown = document.contents === null ? {} : document.toJS({ maxAliasCount: 0 });
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree))
    throw new BehalfError('config_invalid', { file, line: 1, why: 'is not a mapping of keys' });
  return { tree: tree as Tree, locate: (path) => ({ file, line: lineOf(document, lines, path) }) };
}

function lineOf(document: Document, lines: LineCounter, path: Path): number {
  // A missing key has no place of its own: its nearest parent's is shown.
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const name = String(path[length - 1]);
    if (isMap(parent)) {
      const pair = parent.items.find((item: Pair) => isScalar(item.key) && String(item.key.value) === name);
      if (pair !== undefined && isScalar(pair.key) && pair.key.range) return lines.linePos(pair.key.range[0]).line;
    } else {
      const node = document.getIn(path.slice(0, length), true) as
        | { range?: [number, number, number] | null }
        | undefined;
      if (node?.range) return lines.linePos(node.range[0]).line;
    }
  }
  return 1;
}

function override(tree: Tree, setting: Setting, raw: unknown, from: string, overridden: Map<string, string>): void {
  let place = tree;
  for (const name of setting.path.slice(0, -1)) {
    const next = place[name];
    if (typeof next === 'object' && next !== null && !Array.isArray(next)) place = next as Tree;
    else place = place[name] = {} as Tree;
  }
  place[setting.path.at(-1)!] = scalar(setting, raw, from);
  overridden.set(setting.path.join('.'), from);
}

function scalar(setting: Setting, raw: unknown, from: string): string | number | boolean {
  if (typeof raw === 'boolean') return raw;
  const text = String(raw);
  switch (setting.type) {
    case 'string':
      return text;
    case 'boolean':
      if (text === 'true' || text === '1') return true;
      if (text === 'false' || text === '0') return false;
      throw new BehalfError('config_invalid', { from, key: setting.path.join('.'), why: 'must be true or false' });
    case 'integer':
    case 'number': {
      const number = Number(text);
      if (text.trim() === '' || !Number.isFinite(number))
        throw new BehalfError('config_invalid', { from, key: setting.path.join('.'), why: 'must be a number' });
      return number;
    }
  }
}
