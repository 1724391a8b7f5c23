/**
 * The Cedar files of a policy folder as policies by id: `@id("…")` where a policy has one, else `<file without .cedar>#<n>`.
 * Where a file does not parse, the message names file and line.
 */
import {
  type DetailedError,
  type PolicyJson,
  policySetTextToParts,
  policyToJson,
} from '@cedar-policy/cedar-wasm/nodejs';
import { BehalfError } from '../../errors/index.ts';
import { isPolicyId } from '../snapshot/parse-snapshot.ts';

/** A policy where a person wrote it. */
export interface WrittenPolicy {
  readonly id: string;
  readonly text: string;
  readonly json: PolicyJson;
  readonly file: string;
  /** Line of its file on which its text begins. */
  readonly line: number;
}

/**
 * Splits the files. Policies keep their text, comments within them included.
 * @throws {BehalfError} `snapshot_invalid` for what does not parse, templates, and an id that stands twice
 */
export function readCedarFiles(files: ReadonlyMap<string, string>): readonly WrittenPolicy[] {
  const policies = new Map<string, WrittenPolicy>();
  for (const [file, text] of files) {
    const parts = policySetTextToParts(text);
    if (parts.type === 'failure') throw defect(file, text, parts.errors[0]);
    if (parts.policy_templates.length > 0) {
      throw new BehalfError('snapshot_invalid', { at: file, why: 'has a policy template; write policies out' });
    }
    inOrder(text, parts.policies).forEach(({ policy, at }, index) => {
      const parsed = policyToJson(policy);
      if (parsed.type === 'failure') throw defect(file, policy, parsed.errors[0]);
      const id = parsed.json.annotations?.['id'] ?? `${file.replace(/\.cedar$/, '')}#${index + 1}`;
      const line = text.slice(0, Math.max(at, 0)).split('\n').length;
      if (!isPolicyId(id)) {
        const why = 'not an id of A-Z a-z 0-9 . _ / # -, at most 128 characters';
        throw new BehalfError('snapshot_invalid', { at: `${file}:${line}`, policy: id.slice(0, 128), why });
      }
      if (policies.has(id))
        throw new BehalfError('snapshot_invalid', { at: `${file}:${line}`, why: `policy \`${id}\` stands twice` });
      policies.set(id, { id, text: policy, json: parsed.json, file, line });
    });
  }
  return [...policies.values()];
}

/** `calls.cedar:12` for a place in a policy's text that Cedar gives as bytes from its beginning. */
export function placeInFile({ file, line, text }: WrittenPolicy, byteOffset: number): string {
  return `${file}:${line + lineAt(text, byteOffset) - 1}`;
}

/** Cedar sorts the parts by its own ids (`policy10` before `policy2`); we number them as they stand. */
function inOrder(text: string, policies: readonly string[]): readonly { policy: string; at: number }[] {
  return policies
    .map((policy, index) => ({ policy, index, at: text.indexOf(policy) }))
    .sort((one, other) => one.at - other.at || one.index - other.index);
}

function defect(file: string, text: string, error: DetailedError | undefined): BehalfError {
  const location = error?.sourceLocations?.[0];
  const line = location === undefined ? '' : `:${lineAt(text, location.start)}`;
  const why = [error?.message, location?.label].filter((part) => part !== undefined && part !== null).join(', ');
  return new BehalfError('snapshot_invalid', { at: `${file}${line}`, why: why.slice(0, 400) });
}

/** Cedar counts bytes of UTF-8. */
function lineAt(text: string, byteOffset: number): number {
  let line = 1;
  for (const byte of Buffer.from(text, 'utf8').subarray(0, byteOffset)) if (byte === 0x0a) line += 1;
  return line;
}
