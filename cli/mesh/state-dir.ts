/**
 * The directory of one mesh on one machine, `.behalf/` by default: a folder a part, their configurations and logs, the
 * operator's identity and policy key, `mesh.json` for everyone who wants to find the parts. One supervisor at a time.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../../errors/index.ts';

/** Where the parts of the running mesh are (`mesh-file.ts`). */
export const MESH_FILE = 'mesh.json';
/** Names a directory as ours, so that we never clear another. */
const MARKER = 'behalf-state';
/** Longest path of a Unix socket that every system takes (macOS 103), with a little left. */
const MAX_SOCKET_PATH = 100;

export interface StateDir {
  readonly path: string;
  /** A file or folder within. */
  file(...names: readonly string[]): string;
  /** A folder within, made where it is missing, for its owner alone. */
  folder(...names: readonly string[]): string;
  /** Where a Unix socket of that name is: within, or in a folder of the system's where that path is too long for a socket. */
  socket(name: string): string;
  /** Writes a file for its owner alone; readers see the old or the new one, never half. */
  write(name: string, text: string): string;
  /** Removes sockets and `mesh.json`, as nothing runs any more, and lets another supervisor in. The rest stays. */
  release(): void;
}

/**
 * Takes a directory for this process until `release` or its death.
 * @throws {BehalfError} `data_directory_unusable` where it cannot be written, holds other things, or is taken
 */
export function takeStateDir(given: string, { fresh }: { readonly fresh: boolean }): StateDir {
  const path = resolve(given);
  const marker = join(path, MARKER);
  try {
    makeFolder(path);
    if (!existsSync(marker)) {
      if (readdirSync(path).length > 0)
        throw new BehalfError('data_directory_unusable', { path, why: 'holds other things than a mesh of ours' });
      writeFileSync(
        marker,
        'The state of a Behalf mesh on this machine: keys, logs, databases. Remove the whole directory to begin anew.\n',
        { mode: 0o600 },
      );
    }
  } catch (cause) {
    if (cause instanceof BehalfError) throw cause;
    throw new BehalfError(
      'data_directory_unusable',
      { path, why: (cause as NodeJS.ErrnoException).code ?? 'cannot be written' },
      { cause },
    );
  }
  const lock = takeLock(path);
  if (fresh) clear(path);
  const real = realpathSync(path);
  const socketsElsewhere = join(tmpdir(), `behalf-${createHash('sha256').update(real).digest('hex').slice(0, 16)}`);
  const dir: StateDir = {
    path: real,
    file: (...names) => join(real, ...names),
    folder: (...names) => {
      const folder = join(real, ...names);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      return folder;
    },
    socket: (name) => {
      const within = join(real, name);
      if (Buffer.byteLength(within) <= MAX_SOCKET_PATH) return within;
      makeOwnFolder(socketsElsewhere);
      return join(socketsElsewhere, name);
    },
    write: (name, text) => writeStateFile(real, name, text),
    release: () => {
      rmSync(join(real, MESH_FILE), { force: true });
      for (const name of readdirSync(real)) if (name.endsWith('.sock')) rmSync(join(real, name), { force: true });
      rmSync(socketsElsewhere, { recursive: true, force: true });
      lock.close();
    },
  };
  return dir;
}

/** Writes a file of the directory for its owner alone and returns its path; readers see the old or the new one, never half. */
export function writeStateFile(directory: string, name: string, text: string): string {
  const target = join(directory, name);
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  // A stop between the two leaves a `.new` file that the next write replaces.
  writeFileSync(`${target}.new`, text, { mode: 0o600 });
  renameSync(`${target}.new`, target);
  return target;
}

/** Reads a JSON file of the directory. @throws {BehalfError} `not_found` where there is none */
export function readStateFile(directory: string, name: string): unknown {
  const path = join(resolve(directory), name);
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new BehalfError(
      'not_found',
      { path, why: 'no mesh runs here; start one with `behalf up`, or name its directory with --dir' },
      { cause },
    );
  }
}

/**
 * Makes a folder and those above it. Not `recursive`: Node 26 does not come back from that where a parent exists but takes no
 * folder (`ENOENT` under /proc).
 */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

/**
 * Makes a folder in a place that all may write, or takes it where it is ours alone. UNTRUSTED: its name can be foreseen, so
 * that somebody else may have made it first, as a folder whose sockets they could replace or as a link elsewhere.
 * @throws {BehalfError} `data_directory_unusable`
 */
export function makeOwnFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const facts = lstatSync(path);
  if (!facts.isDirectory() || facts.uid !== process.getuid?.())
    throw new BehalfError('data_directory_unusable', { path, why: 'is not a folder of ours' });
  chmodSync(path, 0o700);
}

/** SQLite's exclusive lock: the kernel gives it up when the process dies, so that there is no stale lock to judge. */
function takeLock(path: string): { close(): void } {
  try {
    const lock = new DatabaseSync(join(path, 'lock'));
    try {
      lock.exec(
        'PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS held (pid); COMMIT; BEGIN EXCLUSIVE',
      );
      return lock;
    } catch (cause) {
      lock.close();
      throw cause;
    }
  } catch (cause) {
    const locked = /locked/.test((cause as Error).message);
    throw new BehalfError(
      'data_directory_unusable',
      { path, why: locked ? 'another `behalf up` uses it' : (cause as Error).message },
      { cause },
    );
  }
}

function clear(path: string): void {
  for (const name of readdirSync(path)) {
    if (name !== MARKER && name !== 'lock' && name !== 'lock-journal')
      rmSync(join(path, name), { recursive: true, force: true });
  }
}
