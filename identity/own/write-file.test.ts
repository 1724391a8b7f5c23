import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeFileAtomically } from './write-file.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-write-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

test('a file is replaced as a whole, with the mode that was asked for', () => {
  const file = join(dir, 'identity.json');
  writeFileAtomically(file, 'old', 0o600);
  writeFileAtomically(file, 'new', 0o600);
  expect(readFileSync(file, 'utf8')).toBe('new');
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('a disk that takes a part of the content leaves the old file as it was', () => {
  const file = join(dir, 'identity.json');
  writeFileAtomically(file, 'old', 0o600);
  const program = join(dir, 'program.mjs');
  const from = new URL('./write-file.ts', import.meta.url).href;
  writeFileSync(
    program,
    `import { writeFileAtomically } from '${from}';
     writeFileAtomically(${JSON.stringify(file)}, 'x'.repeat(100_000), 0o600);`,
  );
  // A limit on the size of files does what a full disk does: the first write takes a part, the next fails.
  const limited = () =>
    execFileSync('/bin/sh', ['-c', 'ulimit -f 8 && exec "$0" "$1"', process.execPath, program], { stdio: 'pipe' });
  expect(limited).toThrow();
  expect(readFileSync(file, 'utf8')).toBe('old');
});
