/** One byte changed anywhere in the log's files or its database: `behalf log verify` says no and names the place. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startClient } from './mesh/ledger.ts';
import { runCli } from './mesh/run-cli.ts';
import { eventually, runMesh } from './mesh/running-mesh.ts';
import { twoServices } from './mesh/two-services.ts';

/** Enough for a full tile of entries (256) and a partial one beside it. */
const REQUESTS = 120;

let home: string;
let log: string;
let record: string;
let key: string;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'behalf-tampered-'));
  log = join(home, 'log');
  record = join(home, 'record.sqlite');
  const running = await runMesh((dir) => twoServices(dir, { accounts: { ada: 'correct horse' } }));
  try {
    const { accessToken } = await running.signIn('ada', 'correct horse');
    await startClient({
      url: `${running.service('front').entry}/notes`,
      tokens: [accessToken],
      count: REQUESTS,
      concurrency: 8,
    }).done;
    await eventually(async () => ((await running.query.summary({})).logSize > REQUESTS * 3 ? true : null));
    key = running.mesh.operator.bundle().logKeys[0] ?? '';
    const { logDir } = running.mesh.file.collector;
    // Its orderly end leaves the write-ahead log folded into the database.
    await running.mesh.children.get('collector')!.stop();
    cpSync(logDir, log, { recursive: true });
    cpSync(join(logDir, '../record.sqlite'), record);
  } finally {
    await running.stop();
  }
}, 120_000);

afterAll(() => rmSync(home, { recursive: true, force: true }));

test('the copy as it was signed verifies, database included', async () => {
  const { code, answer } = await verify();
  expect({ code, ok: answer?.['ok'] }).toEqual({ code: 0, ok: true });
});

test('a byte changed in any file of the log is found, and the place is named', async () => {
  const files = filesUnder(log);
  expect(files.some((file) => file.startsWith('tile/entries/'))).toBe(true);
  expect(files.some((file) => /^tile\/\d/.test(file))).toBe(true);
  for (const file of files) {
    const path = join(log, file);
    const whole = readFileSync(path);
    const changed = Buffer.from(whole);
    const at = Math.floor(whole.length / 2);
    changed[at] = changed[at]! ^ 1;
    writeFileSync(path, changed);
    const { code, answer } = await verify();
    writeFileSync(path, whole);
    expect({ file, code, ok: answer?.['ok'] }).toEqual({ file, code: 1, ok: false });
    expect(answer?.['place'], file).toContain(file === 'checkpoint' ? 'checkpoint' : file);
  }
}, 120_000);

test.each(['entry', 'secret', 'hop_id'])(
  'a byte changed in the %s of an event in the database is found, and the event is named',
  async (column) => {
    const database = new DatabaseSync(record);
    const { idx, value } = database
      .prepare(
        `SELECT idx, ${column} AS value FROM events WHERE ${column} IS NOT NULL ORDER BY idx DESC LIMIT 1 OFFSET 40`,
      )
      .get() as { idx: number; value: Uint8Array };
    const changed = Buffer.from(value);
    const at = changed.length - 1;
    changed[at] = changed[at]! ^ 1;
    const write = database.prepare(`UPDATE events SET ${column} = ? WHERE idx = ?`);
    write.run(changed, idx);
    database.close();
    const { code, answer } = await verify();
    const again = new DatabaseSync(record);
    again.prepare(`UPDATE events SET ${column} = ? WHERE idx = ?`).run(value, idx);
    again.close();
    expect({ code, ok: answer?.['ok'] }).toEqual({ code: 1, ok: false });
    expect(String(answer?.['place'])).toContain(`event ${idx}`);
  },
);

function verify() {
  return runCli('log', 'verify', '--dir', log, '--record', record, '--key', key, '--json');
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}
