import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** What a module loads at run time, through our own files, types left out. */
function loadedBy(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const source = readFileSync(file, 'utf8');
  for (const [, kind, from = ''] of source.matchAll(/^(import|export)\s+(?!type\b)[^;]*?from '([^']+)'/gm)) {
    expect(kind).toBeDefined();
    if (from.startsWith('.')) loadedBy(join(dirname(file), from), seen);
    else seen.add(from);
  }
  return seen;
}

test('identity/index.ts loads no X.509 library, no gRPC and nothing native', () => {
  const loaded = [...loadedBy(fileURLToPath(new URL('./index.ts', import.meta.url)))];
  expect(loaded).toContain('node:crypto');
  expect(loaded.filter((name) => !name.startsWith('/') && !name.startsWith('node:'))).toEqual([]);
});
