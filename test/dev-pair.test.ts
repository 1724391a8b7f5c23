/** `behalf dev pair` around an existing server: what it promises in its ready line holds, under load too. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { debianProgram } from './mesh/debian.ts';
import { startNginx } from './mesh/nginx.ts';
import { runCli, startCli } from './mesh/run-cli.ts';
import { eventually } from './mesh/running-mesh.ts';

const LOAD_S = Number(process.env['BEHALF_LOAD_S'] ?? 3);
const CONNECTIONS = 32;

interface Pair {
  readonly ready: true;
  readonly local: string;
  readonly entry: string | null;
  readonly mtls: string;
  readonly dir: string;
  readonly token: string | null;
}

test.each(['full', 'mtls'] as const)(
  'a pair in mode %s before nginx: wrk sees no error and every request is on record',
  async (mode) => {
    const wrk = debianProgram('wrk', 'wrk');
    const nginx = await startNginx(1024);
    const home = mkdtempSync(join(tmpdir(), 'behalf-pair-'));
    const child = startCli(
      'dev',
      'pair',
      '--upstream',
      nginx.address,
      '--mode',
      mode,
      '--dir',
      join(home, 'mesh'),
      '--json',
    );
    child.stderr?.resume();
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
    try {
      const pair = await new Promise<Pair>((resolve, reject) => {
        createInterface({ input: child.stdout! }).on('line', (line) => {
          const said = JSON.parse(line) as Pair;
          if (said.ready) resolve(said);
        });
        child.once('close', (code) => reject(new Error(`dev pair ended with ${code}`)));
      });
      for (const name of ['tls.crt', 'tls.key', 'wit.jwt', 'wit.key', 'bundle.pem', 'bundle.json', 'mesh.json']) {
        expect(existsSync(join(pair.dir, name)), name).toBe(true);
      }
      const local = load(wrk, pair.local, []);
      // What enters from outside is a hop of its own, and the one that goes on below it another.
      const entered = mode === 'full' ? load(wrk, pair.entry!, ['-H', `Authorization: Bearer ${pair.token}`]) : 0;
      if (mode === 'mtls') expect([pair.entry, pair.token]).toEqual([null, null]);
      const made = local + 2 * entered;
      expect(local).toBeGreaterThan(0);
      expect(entered > 0).toBe(mode === 'full');
      const record = await eventually(async () => {
        const { answer } = await runCli('hops', '--summary', '--dir', join(home, 'mesh'), '--json');
        const summary = answer as { hops: number; oneSided: number; denied: number } | null;
        return summary !== null && summary.hops >= made && summary.oneSided === 0 ? summary : null;
      }, 60_000);
      process.stderr.write(
        `dev pair ${mode}: wrk counted ${local} requests at local and ${entered} at entry, ${made} hops; the log has ${record.hops}\n`,
      );
      expect(record.denied).toBe(0);
    } finally {
      child.kill('SIGTERM');
      await closed;
      await nginx.stop();
      rmSync(home, { recursive: true, force: true });
    }
  },
  180_000,
);

/** Requests that wrk counts as answered; fails on any error that wrk saw. */
function load(wrk: string, url: string, headers: readonly string[]): number {
  const out = execFileSync(wrk, ['-t1', `-c${CONNECTIONS}`, `-d${LOAD_S}`, ...headers, `${url}/file`], {
    encoding: 'utf8',
  });
  expect(out).not.toMatch(/Socket errors|Non-2xx/);
  return Number(/(\d+) requests in/.exec(out)?.[1]);
}
