/** A policy folder is judged before anything runs: by `behalf policy check`, and by `behalf up` with the same words. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from './mesh/run-cli.ts';

const EXAMPLE = fileURLToPath(new URL('../examples/notes', import.meta.url));

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'behalf-policy-check-'));
  cpSync(EXAMPLE, home, { recursive: true, filter: (path) => !path.endsWith('.behalf') });
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

function change(file: string, from: string, to: string): void {
  const path = join(home, 'policy', file);
  const text = readFileSync(path, 'utf8');
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
}

test('a policy that can be put live is told in words, and as JSON', async () => {
  const told = await runCli('policy', 'check', join(home, 'policy'));
  expect(told).toMatchObject({ code: 0, stderr: '' });
  expect(told.stdout).toMatch(/^The policy of notes\.example can be put live: 2 services, 1 edge, /);
  expect(told.stdout).toMatch(/desk +http, 2 routes +calls archive +users enter here/);
  const { code, answer } = await runCli('policy', 'check', join(home, 'policy'), '--json');
  expect(code).toBe(0);
  expect(answer).toMatchObject({
    ok: true,
    trustDomain: 'notes.example',
    edges: [{ from: 'desk', to: 'archive' }],
    unusedScopes: [],
    deadEdges: [],
  });
});

test('contracts may stand beside their services, outside the folder', async () => {
  const told = await runCli('policy', 'check', fileURLToPath(new URL('../demo/policy', import.meta.url)));
  expect(told).toMatchObject({ code: 0, stderr: '' });
  expect(told.stdout).toMatch(/^The policy of shop\.example can be put live: 4 services, 5 edges, /);
});

test('what a policy says in vain is told and does not fail it', async () => {
  change(
    'notes.cedar',
    'Behalf::Service::"spiffe://notes.example/archive"',
    'Behalf::Service::"spiffe://notes.example/desk"',
  );
  change('mesh.yaml', 'scopes:\n', 'scopes:\n  idle: { title: Idle, description: Nothing needs it }\n');
  const { code, stdout } = await runCli('policy', 'check', join(home, 'policy'));
  expect(code).toBe(0);
  expect(stdout).toContain('no route uses them:\n  idle\n');
  expect(stdout).toContain('over these edges:\n  desk -> archive\n');
});

test('a Cedar policy on a service that there is not fails the check, with its line, and no process of `up` starts', async () => {
  change(
    'notes.cedar',
    'Behalf::Service::"spiffe://notes.example/archive"',
    'Behalf::Service::"spiffe://notes.example/archiv"',
  );
  const why = expect.stringMatching(/notes\.example\/archiv"; did you mean spiffe:\/\/notes\.example\/archive\?$/);
  const { code, answer } = await runCli('policy', 'check', join(home, 'policy'), '--json');
  expect(code).toBe(1);
  expect(answer).toMatchObject({
    ok: false,
    code: 'snapshot_invalid',
    at: expect.stringMatching(/^notes\.cedar:\d+$/),
    why,
  });

  const dir = join(home, 'state');
  const up = await runCli('up', '--config', join(home, 'behalf.yaml'), '--dir', dir);
  expect(up.code).toBe(1);
  expect(up.stderr).toContain('did you mean spiffe://notes.example/archive?');
  expect(existsSync(dir)).toBe(false);
});

test('a folder that is none fails, no folder is wrong use', async () => {
  const gone = await runCli('policy', 'check', join(home, 'nowhere'));
  expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining('cannot be read')]);
  expect((await runCli('policy', 'check')).code).toBe(2);
});
