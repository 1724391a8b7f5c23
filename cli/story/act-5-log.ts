/** Act 5: the log can be checked by anyone, without asking us. */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { leafHash } from '../../audit/merkle/index.ts';
import { count } from '../draw/words.ts';
import type { ToldRequest } from './act-3-request.ts';
import type { Stage } from './stage.ts';
import { untilRecorded } from './stage.ts';

const CLI = fileURLToPath(new URL('../behalf.ts', import.meta.url));
const VERIFY_TIMEOUT_MS = 60_000;

/** What the other process says. */
interface Verification {
  readonly ok: boolean;
  readonly size?: number;
  /** Where the copy differs. */
  readonly place?: string;
  readonly inclusion?: readonly { readonly index: number; readonly leaf: string }[];
}

/** Returns how many records of the request were proved to be in the log. */
export async function tellLog(stage: Stage, { request }: ToldRequest): Promise<number> {
  const { tell, query, mesh } = stage;
  tell.act(5, 'The record can be checked by anyone');
  const indexes = request.hops.flatMap(({ sides, ends }) => [...sides, ...ends].map(({ index }) => index));
  const checkpoint = await untilRecorded(async () => {
    const { checkpoint: note } = await query.getCheckpoint({});
    return Number(note.split('\n')[1]) > Math.max(...indexes) ? note : null;
  });
  if (checkpoint === null) throw new Error('no checkpoint covers the request');
  const [origin, size, root] = checkpoint.split('\n');
  tell.prose(
    `The log ${tell.style.bold(origin ?? '')} signed a checkpoint: ${size} records under the root ${root?.slice(0, 16)}…`,
  );
  tell.prose('Another process gets a copy of the tiles, this checkpoint and the log’s public key, nothing else:', '');

  const folder = mkdtempSync(join(tmpdir(), 'behalf-verify-'));
  try {
    cpSync(mesh.file.collector.logDir, join(folder, 'log'), { recursive: true });
    writeFileSync(join(folder, 'checkpoint'), checkpoint);
    const key = (await currentLogKeys(stage))[0] ?? '';
    const said = await verifyElsewhere(folder, key, indexes);
    const leaves = await leavesOf(stage, indexes);
    const proved = (said.inclusion ?? []).filter(({ index, leaf }) => leaves.get(index) === leaf).length;
    tell.check(
      said.ok && said.size === Number(size),
      said.place === undefined
        ? `the tree of ${size} records has exactly the root that was signed`
        : `it differs at ${said.place}`,
    );
    tell.check(
      proved === indexes.length,
      `${proved} of ${count(indexes.length, 'record')} of that request are proved to be in it`,
    );
    return proved;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The verifier runs with an empty environment and in the folder of copies. */
function verifyElsewhere(folder: string, key: string, indexes: readonly number[]): Promise<Verification> {
  const args = [
    CLI,
    'log',
    'verify',
    '--dir',
    'log',
    '--checkpoint',
    'checkpoint',
    '--key',
    key,
    '--json',
    ...indexes.flatMap((index) => ['--inclusion', String(index)]),
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env: {},
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: VERIFY_TIMEOUT_MS,
    });
    let out = '';
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString('utf8');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      complaint += chunk.toString('utf8').slice(0, 2000);
    });
    child.on('error', reject);
    child.on('close', () => {
      try {
        resolve(JSON.parse(out.trim().split('\n').at(-1) ?? '') as Verification);
      } catch {
        reject(new Error(`the verifier said nothing: ${complaint}`));
      }
    });
  });
}

async function leavesOf({ query }: Stage, indexes: readonly number[]): Promise<ReadonlyMap<number, string>> {
  const leaves = new Map<number, string>();
  for (const index of indexes) {
    const { entry } = await query.getInclusionProof({ index, treeSize: 0 });
    leaves.set(index, leafHash(entry).toString('hex'));
  }
  return leaves;
}

async function currentLogKeys({ mesh }: Stage): Promise<readonly string[]> {
  return (
    (await untilRecorded(async () =>
      mesh.operator.bundle().logKeys.length > 0 ? mesh.operator.bundle().logKeys : null,
    )) ?? []
  );
}
