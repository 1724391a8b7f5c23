/** The arrows between parts are really held: a broken one is seen, with the configuration and compiler that the checks use. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));

test.each([
  ['the CA imports the authority', 'ca/a.ts', '../authority/b.ts', 'arrows-ca'],
  ['identity imports policy', 'identity/a.ts', '../policy/b.ts', 'arrows-identity'],
  ['a sidecar imports a benchmark', 'sidecar/a.ts', '../bench/b.ts', 'arrows-sidecar'],
  ['a benchmark imports the tests', 'bench/a.ts', '../test/b.ts', 'arrows-bench'],
  ['delegation opens a socket', 'delegation/a.ts', 'node:net', 'delegation-stays-bare'],
  ['delegation loads X.509', 'delegation/a.ts', '../identity/svid/b.ts', 'delegation-stays-bare'],
])('%s: the check of the arrows fails', (_, from, target, rule) => {
  const folder = mkdtempSync(join(tmpdir(), 'behalf-arrows-'));
  try {
    for (const name of ['.dependency-cruiser.cjs', 'tsconfig.json']) copyFileSync(root(name), join(folder, name));
    const write = (path: string, text: string): void => {
      mkdirSync(join(folder, path, '..'), { recursive: true });
      writeFileSync(join(folder, path), text);
    };
    write(from, `import type { B } from '${target}';\nexport type A = B;\n`);
    if (target.startsWith('.')) write(join(from, '..', target), 'export type B = 1;\n');
    const args = [
      root('node_modules/dependency-cruiser/bin/dependency-cruiser.mjs'),
      '--config',
      '.dependency-cruiser.cjs',
      '.',
    ];
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
    expect(stdout).toContain(rule);
    expect(status).not.toBe(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
