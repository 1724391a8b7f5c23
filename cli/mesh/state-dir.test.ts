import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { claimAgain, findFreePorts } from './ports.ts';
import { makeOwnFolder, takeStateDir } from './state-dir.ts';

const folder = mkdtempSync(join(tmpdir(), 'behalf-state-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a directory is one supervisor’s at a time', () => {
  const path = join(folder, 'a');
  const dir = takeStateDir(path, { fresh: false });
  expect(() => takeStateDir(path, { fresh: false })).toThrow(/another `behalf up` uses it/);
  dir.release();
  takeStateDir(path, { fresh: false }).release();
});

test('a directory with other things in it is not touched', () => {
  const path = join(folder, 'b');
  mkdirSync(path);
  writeFileSync(join(path, 'thesis.txt'), 'mine');
  expect(() => takeStateDir(path, { fresh: true })).toThrow(/data_directory_unusable/);
  expect(existsSync(join(path, 'thesis.txt'))).toBe(true);
});

test('a place that cannot be a directory is data_directory_unusable', () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  expect(() => takeStateDir(join(file, 'under'), { fresh: false })).toThrow(/data_directory_unusable.*ENOTDIR/);
});

test('fresh begins anew, otherwise the state stays; files are their owner’s alone', () => {
  const path = join(folder, 'c');
  const first = takeStateDir(path, { fresh: false });
  const file = first.write('sub/x.json', '1');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(join(path, 'sub')).mode & 0o777).toBe(0o700);
  first.release();
  takeStateDir(path, { fresh: false }).release();
  expect(existsSync(file)).toBe(true);
  takeStateDir(path, { fresh: true }).release();
  expect(existsSync(file)).toBe(false);
});

test('a socket is within the directory, or where its path is short enough; release removes it', async () => {
  const near = takeStateDir(join(folder, 'd'), { fresh: false });
  const far = takeStateDir(join(folder, 'e'.repeat(120)), { fresh: false });
  for (const dir of [near, far]) {
    const path = dir.socket('ca.sock');
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(100);
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    dir.release();
    expect(existsSync(path)).toBe(false);
    await new Promise((resolve) => server.close(resolve));
  }
  expect(near.socket('x')).toBe(join(folder, 'd', 'x'));
});

test('free ports are different from each other, can be listened on, and are given to nobody else until released', async () => {
  const [mine, theirs] = await Promise.all([findFreePorts(100), findFreePorts(100)]);
  expect(new Set([...mine.ports, ...theirs.ports]).size).toBe(200);
  for (const port of mine.ports.slice(0, 3)) {
    const server = createServer().listen(port, '127.0.0.1');
    await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));
    await new Promise((resolve) => server.close(resolve));
  }
  expect(await claimAgain(mine.ports)).toBeNull();
  await Promise.all([mine.release(), theirs.release()]);
  const again = await claimAgain(mine.ports);
  expect(again).not.toBeNull();
  await again?.();
});

test('a folder in a shared place is taken only where it is a folder of ours, and then for us alone', () => {
  const wide = join(folder, 'wide');
  mkdirSync(wide, { mode: 0o777 });
  chmodSync(wide, 0o777);
  makeOwnFolder(wide);
  expect(statSync(wide).mode & 0o777).toBe(0o700);
  symlinkSync(wide, join(folder, 'link'));
  expect(() => makeOwnFolder(join(folder, 'link'))).toThrow(/data_directory_unusable/);
});

test('a folder of somebody else is not taken', () => {
  const isRoot = process.getuid?.() === 0;
  const theirs = isRoot ? join(folder, 'theirs') : '/usr';
  if (isRoot) {
    mkdirSync(theirs);
    chownSync(theirs, 64_101, 64_101);
  }
  expect(() => makeOwnFolder(theirs)).toThrow(/data_directory_unusable/);
});
