/** What the supervisor promises when things go wrong: a clear message, its code, and no process or socket left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { runCli, startCli } from './mesh/run-cli.ts';
import { eventually } from './mesh/running-mesh.ts';

const CLI = fileURLToPath(new URL('../cli/behalf.ts', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'behalf-supervisor-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** A pair in front of nothing: what stands behind is never asked. */
const PAIR = ['dev', 'pair', '--upstream', '127.0.0.1:9', '--mode', 'mtls', '--json'] as const;

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

function watch(child: ChildProcess): { ready: Promise<void>; ended: Promise<Ended> } {
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8');
  });
  const ended = new Promise<Ended>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal, stderr })),
  );
  const ready = new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', (line) => line.includes('"ready":true') && resolve());
    void ended.then(({ code, stderr: said }) => reject(new Error(`ended with ${code}: ${said}`)));
  });
  ready.catch(() => {});
  return { ready, ended };
}

/** Process ids by name, as the supervisor's log tells them. */
function pidsOf(dir: string): Map<string, number> {
  const lines = readFileSync(join(dir, 'log', 'up.log'), 'utf8')
    .trim()
    .split('\n');
  const started = lines
    .map((line) => JSON.parse(line) as { msg: string; process: string; pid: number })
    .filter(({ msg }) => msg === 'started');
  return new Map(started.map(({ process: name, pid }) => [name, pid]));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const allGone = (pids: Iterable<number>) => eventually(async () => ([...pids].some(isAlive) ? null : true), 15_000);
const sockets = (dir: string): string[] => readdirSync(dir).filter((name) => name.endsWith('.sock'));

test('SIGTERM ends every process, removes sockets and mesh.json, and exits 0', async () => {
  const dir = join(home, 'a');
  const child = startCli(...PAIR, '--dir', dir);
  const { ready, ended } = watch(child);
  await ready;
  const pids = pidsOf(dir);
  expect([...pids.keys()]).toEqual([
    'ca',
    'collector',
    expect.stringMatching(/ sidecar$/),
    expect.stringMatching(/ sidecar$/),
  ]);
  expect(sockets(dir)).toContain('ca.sock');
  child.kill('SIGTERM');
  expect(await ended).toMatchObject({ code: 0 });
  expect([...pids.values()].filter(isAlive)).toEqual([]);
  expect(sockets(dir)).toEqual([]);
  expect(readdirSync(dir)).not.toContain('mesh.json');
});

test('SIGTERM for the shell that npm or npx put between ends the mesh too', async () => {
  const dir = join(home, 'f');
  const shell = spawn(
    'sh',
    ['-c', '"$@"; exit $?', 'sh', process.execPath, CLI, ...PAIR, '--dir', dir], // as npm does: not the shell's last command
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, npm_command: 'exec' } },
  );
  const { ready, ended } = watch(shell);
  await ready;
  const pids = pidsOf(dir);
  shell.kill('SIGTERM');
  await ended; // once the supervisor, which has the shell's output, is gone too
  expect([...pids.values()].filter(isAlive)).toEqual([]);
  expect(readdirSync(dir)).not.toContain('mesh.json');
});

test('a supervisor killed with kill -9 leaves no process behind', async () => {
  const dir = join(home, 'b');
  const child = startCli(...PAIR, '--dir', dir);
  const { ready, ended } = watch(child);
  await ready;
  const pids = pidsOf(dir);
  child.kill('SIGKILL');
  await ended;
  await allGone(pids.values());
});

test('a part that dies ends the mesh with its name and log file, exit code 1, and no process left', async () => {
  const dir = join(home, 'c');
  const child = startCli(...PAIR, '--dir', dir);
  const { ready, ended } = watch(child);
  await ready;
  const pids = pidsOf(dir);
  process.kill(pids.get('collector')!, 'SIGKILL');
  const { code, stderr } = await ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/process_died.*process: collector, how: signal SIGKILL, log: .*collector\.log/s);
  expect([...pids.values()].filter(isAlive)).toEqual([]);
});

test('SIGTERM while the mesh is starting leaves nothing half started', async () => {
  const dir = join(home, 'd');
  const child = startCli(...PAIR, '--dir', dir);
  const { ended } = watch(child);
  await eventually(async () => {
    try {
      return pidsOf(dir).has('ca') ? true : null;
    } catch {
      return null; // no log yet
    }
  });
  child.kill('SIGTERM');
  await ended;
  expect([...pidsOf(dir).values()].filter(isAlive)).toEqual([]);
  expect(sockets(dir)).toEqual([]);
});

test('a second mesh in the same directory is refused, and the first stays up', async () => {
  const dir = join(home, 'e');
  const child = startCli(...PAIR, '--dir', dir);
  const { ready, ended } = watch(child);
  await ready;
  const second = await runCli(...PAIR, '--dir', dir);
  expect(second).toMatchObject({ code: 1, answer: { ok: false, code: 'data_directory_unusable' } });
  expect(second.stderr).toMatch(/another `behalf up` uses it/);
  expect([...pidsOf(dir).values()].every(isAlive)).toBe(true);
  child.kill('SIGTERM');
  await ended;
});

test('a directory that cannot be written or is not ours is refused with its path', async () => {
  for (const dir of ['/proc/behalf', '/etc']) {
    const refused = await runCli(...PAIR, '--dir', dir);
    expect(refused).toMatchObject({ code: 1, answer: { ok: false, code: 'data_directory_unusable' } });
    expect(refused.stderr).toContain(dir);
  }
});

test('a part whose port is taken says port_in_use and the address', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as { port: number };
  const dataDir = join(home, 'ca');
  const passphraseFile = join(home, 'passphrase');
  writeFileSync(passphraseFile, 'correct horse battery');
  const made = await runCli(
    'ca',
    'init',
    '--data-dir',
    dataDir,
    '--trust-domain',
    'test.example',
    '--passphrase-file',
    passphraseFile,
    '--json',
  );
  expect(made).toMatchObject({ code: 0, answer: { trustDomain: 'test.example' } });
  const flags = [
    '--data-dir',
    dataDir,
    '--trust-domain',
    'test.example',
    '--passphrase-file',
    passphraseFile,
    '--unix-socket',
    join(home, 'ca.sock'),
  ];
  const run = await runCli('ca', ...flags, '--listen', `127.0.0.1:${port}`);
  expect(run).toMatchObject({ code: 1, answer: { ready: false, code: 'port_in_use' } });
  expect(run.stdout).toContain(`127.0.0.1:${port}`);
  taken.close();
});

test('wrong use exits 2 and says what was meant', async () => {
  expect(await runCli('hosp')).toMatchObject({ code: 2, stderr: expect.stringMatching(/did you mean `behalf hops`/) });
  expect(await runCli('hops', '--nonsense')).toMatchObject({ code: 2 });
  const config = join(home, 'sidecar.yaml');
  writeFileSync(config, 'dataDir: /tmp/x\ncollectorAdress: 127.0.0.1:1\n');
  expect(await runCli('sidecar', '--config', config)).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/line: 2.*did you mean collectorAddress/),
  });
});

test('--version and help are answered', async () => {
  expect(await runCli('--version')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^behalf \d+\.\d+\.\d+\n$/),
  });
  expect(await runCli('help')).toMatchObject({ code: 0, stdout: expect.stringContaining('Usage: behalf <command>') });
  expect(await runCli('help', 'hops')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Usage: behalf hops'),
  });
});

test('every command answers --help with exit code 0', async () => {
  const { stdout } = await runCli('--help');
  const names = [...stdout.matchAll(/^ {2}([a-z ]+?) {2,}/gm)].map(([, name]) => name!);
  expect(names.length).toBeGreaterThan(15);
  for (const name of names) {
    const help = await runCli(...name.split(' '), '--help');
    expect(help, name).toMatchObject({ code: 0, stdout: expect.stringContaining(`Usage: behalf ${name}`) });
  }
});
