/** `delegation/` is a library of its own: its README shows a program that runs, in a checkout and against the package. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';

const run = promisify(execFile);
const root = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));
const EXAMPLE = readFileSync(root('delegation/example/hand-on.ts'), 'utf8');
const PRINTS = 'spiffe://shop.example/storefront -> spiffe://shop.example/orders may orders:read\n';
const TSC = root('node_modules/typescript/bin/tsc');

const folder = mkdtempSync(join(tmpdir(), 'behalf-library-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the README shows the example as it stands, and what it prints', () => {
  const readme = readFileSync(root('delegation/README.md'), 'utf8');
  expect(readme).toContain(`\`\`\`ts\n${EXAMPLE}\`\`\``);
  expect(readme).toContain(PRINTS.trimEnd());
});

test('the example runs in a checkout', async () => {
  const { stdout } = await run(process.execPath, [root('delegation/example/hand-on.ts')]);
  expect(stdout).toBe(PRINTS);
});

test('the package stands alone: the example type-checks against it and runs', async () => {
  const library = join(folder, 'node_modules/@behalf/delegation');
  mkdirSync(library, { recursive: true });
  await run(process.execPath, [TSC, '-p', root('delegation/package'), '--outDir', library]);
  cpSync(root('delegation/package/package.json'), join(library, 'package.json'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const program = join(folder, 'hand-on.ts');
  writeFileSync(program, EXAMPLE.replace("'behalf/delegation'", "'@behalf/delegation'"));
  const types = ['--typeRoots', root('node_modules/@types'), '--types', 'node', '--lib', 'esnext'];
  const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'esnext', '--skipLibCheck', 'false'];
  await run(process.execPath, [TSC, ...flags, ...types, program], { cwd: folder });
  const { stdout } = await run(process.execPath, [program], { cwd: folder });
  expect(stdout).toBe(PRINTS);
});
