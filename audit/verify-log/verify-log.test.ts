import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { encodeBundle, growTree, leafHash, signCheckpoint, TILE_WIDTH, tilePath, vkeyOf } from '../merkle/index.ts';
import { type LogCopy, type LogFolder, verifyEntries, verifyLog } from './index.ts';

const signer = { name: 'shop.example/log', key: generateKeyPairSync('ed25519').privateKey };
const vkey = vkeyOf(signer);

interface Copy extends LogCopy {
  readonly files: Map<string, Buffer>;
}

/** A log of `size` entries as files, published in steps as a collector would. */
function logOf(size: number, step = size): Copy {
  const files = new Map<string, Buffer>();
  const tree = growTree();
  const entries = Array.from({ length: size }, (_, index) => Buffer.from(`entry number ${index}`));
  for (let from = 0; from < size; from += step) {
    const added = entries.slice(from, from + step);
    for (const { place, bytes } of tree.append(added.map(leafHash))) files.set(tilePath(place), bytes);
    for (let n = Math.floor(from / TILE_WIDTH); n * TILE_WIDTH < tree.size(); n++) {
      const bundle = entries.slice(n * TILE_WIDTH, Math.min((n + 1) * TILE_WIDTH, tree.size()));
      files.set(tilePath({ level: 'entries', n, width: bundle.length }), encodeBundle(bundle));
    }
  }
  const checkpoint = signCheckpoint(tree.size(), tree.root(), signer);
  return { checkpoint, vkey, files, folder: folderOf(files) };
}

/** A folder over files in memory, with some of them replaced. */
function folderOf(
  files: ReadonlyMap<string, Buffer>,
  replaced: Readonly<Record<string, Buffer | null>> = {},
): LogFolder {
  return {
    read: (path) => (path in replaced ? (replaced[path] ?? null) : (files.get(path) ?? null)),
    list: (folder) =>
      [...files.keys()].filter((path) => path.startsWith(`${folder}/`)).map((path) => path.slice(folder.length + 1)),
  };
}

function all(size: number): number[] {
  return Array.from({ length: size }, (_, index) => index);
}

test.each([0, 1, 2, 255, 256, 257, 513, 66_000])(
  'an untouched log of %i entries verifies, and every entry is proved',
  (size) => {
    const copy = logOf(size);
    expect(verifyLog(copy)).toMatchObject({ ok: true, size });
    const indices = size > 1000 ? [0, 255, 256, 65_535, 65_536, size - 1] : all(size);
    const verdicts = verifyEntries(copy, indices);
    expect(verdicts.every(({ ok, index, entry }) => ok && entry?.toString() === `entry number ${index}`)).toBe(true);
    expect(verifyEntries(copy, [size, -1, 0.5]).map(({ ok }) => ok)).toEqual([false, false, false]);
  },
);

test('an old checkpoint verifies in a copy of a log that has grown since', () => {
  const old = logOf(300);
  const grown = logOf(600, 100);
  const copy = { ...grown, checkpoint: old.checkpoint };
  expect(verifyLog(copy)).toMatchObject({ ok: true, size: 300 });
  expect(verifyEntries(copy, all(300)).every(({ ok }) => ok)).toBe(true);
});

test('any changed byte of any file is found, and its place named', () => {
  // Published in steps, so that there are partial tiles that were outgrown.
  const { files, ...copy } = logOf(300, 50);
  expect(files.size).toBeGreaterThan(10);
  for (const [path, bytes] of files) {
    for (const at of [0, 1, 2, 40, bytes.length - 1].filter((at) => at < bytes.length)) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      const verdict = verifyLog({ ...copy, folder: folderOf(files, { [path]: changed }) });
      expect(verdict.ok).toBe(false);
      if (!verdict.ok) expect(verdict.place.startsWith(path)).toBe(true);
    }
  }
});

test('the first changed hash or entry is named by its number', () => {
  const { files, ...copy } = logOf(300);
  const tile = Buffer.from(files.get('tile/0/000')!);
  tile[17 * 32]! ^= 1;
  expect(verifyLog({ ...copy, folder: folderOf(files, { 'tile/0/000': tile }) })).toMatchObject({
    ok: false,
    place: 'tile/0/000 hash 17',
  });
  const bundle = Buffer.from(files.get('tile/entries/001.p/44')!);
  bundle[bundle.indexOf('number 260')]! ^= 1;
  const folder = folderOf(files, { 'tile/entries/001.p/44': bundle });
  expect(verifyLog({ ...copy, folder })).toMatchObject({ ok: false, place: 'tile/entries/001.p/44 entry 4' });
  expect(verifyEntries({ ...copy, folder }, [259, 260]).map(({ ok }) => ok)).toEqual([true, false]);
});

test('entry and tile changed together still do not lead to the signed root', () => {
  const { files, ...copy } = logOf(3);
  const forged = [Buffer.from('entry number 0'), Buffer.from('forged'), Buffer.from('entry number 2')];
  files.set('tile/entries/000.p/3', encodeBundle(forged));
  files.set('tile/0/000.p/3', Buffer.concat(forged.map(leafHash)));
  const folder = folderOf(files);
  expect(verifyLog({ ...copy, folder })).toMatchObject({ ok: false, place: 'root' });
  expect(verifyEntries({ ...copy, folder }, [0, 1, 2]).some(({ ok }) => ok)).toBe(false);
});

test('a missing file and a checkpoint of another key are named', () => {
  const { files, ...copy } = logOf(300);
  for (const path of files.keys()) {
    const verdict = verifyLog({ ...copy, folder: folderOf(files, { [path]: null }) });
    expect(verdict).toMatchObject({ ok: false, place: path, found: 'no such file' });
  }
  const other = vkeyOf({ name: signer.name, key: generateKeyPairSync('ed25519').privateKey });
  expect(verifyLog({ ...copy, vkey: other })).toMatchObject({ ok: false, place: 'checkpoint' });
  expect(() => verifyLog({ ...copy, vkey: 'nonsense' })).toThrow(/key_unusable/);
});
