/** `behalf chain verify --vector` runs any vectors, ours or a stranger's, and answers for each. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const root = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));
const VECTORS = root('test/vectors/chain');
const folder = mkdtempSync(join(tmpdir(), 'behalf-vectors-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Answer {
  readonly name: string;
  readonly ok: boolean;
  readonly code: string | null;
}

function verify(files: readonly string[]): Promise<{ exit: number; answers: Answer[] }> {
  const flags = files.flatMap((file) => ['--vector', file]);
  return new Promise((resolve) => {
    const options = { maxBuffer: 16 * 1024 * 1024 };
    const args = [root('cli/behalf.ts'), 'chain', 'verify', ...flags, '--json'];
    execFile(process.execPath, args, options, (error, stdout) => {
      const lines = stdout.trim().split('\n');
      resolve({ exit: Number(error?.code ?? 0), answers: lines.map((line) => JSON.parse(line)) });
    });
  });
}

/** A vector of somebody else's, made from one of ours. */
function stranger(name: string, changes: object): string {
  const vector = JSON.parse(readFileSync(join(VECTORS, 'good-two-links.json'), 'utf8'));
  const file = join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify({ ...vector, name, says: 'something else', ...changes }));
  return file;
}

test('all vectors are answered as they expect, one line each', async () => {
  const files = readdirSync(VECTORS).map((file) => join(VECTORS, file));
  const { exit, answers } = await verify(files);
  expect(exit).toBe(0);
  const found = answers.map(({ name, ok, code }) => ({ name, ok, code }));
  const expected = files.map((file) => {
    const { name, expect: said } = JSON.parse(readFileSync(file, 'utf8'));
    return { name, ok: said.ok, code: said.code ?? null };
  });
  expect(found).toEqual(expected);
});

test('a stranger’s vectors run, and a file that is none does not stop the others', async () => {
  const note = join(folder, 'note.json');
  writeFileSync(note, '["not a vector"]');
  const at = 1_800_000_000;
  const { exit, answers } = await verify([
    note,
    stranger('hop seen', { seen_hops: ['aG9wcHJlAAAAAAAB'], expect: { ok: false, code: 'delegation_replayed' } }),
    stranger('user revoked', { revocations: [{ kind: 'sub', value: 'u:CQkJCQkJCQkJCQkJCQkJCQ', before: at }] }),
    stranger('asks only', { expect: undefined, extra: 'ignored' }),
  ]);
  expect(exit).toBe(1);
  expect(answers).toMatchObject([
    { name: note, ok: false, code: 'request_malformed' },
    { name: 'hop seen', ok: false, code: 'delegation_replayed', asExpected: true },
    { name: 'user revoked', ok: false, code: 'delegation_revoked', asExpected: false },
    { name: 'asks only', ok: true, code: null, asExpected: null },
  ]);
});
