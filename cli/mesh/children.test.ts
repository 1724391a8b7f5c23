import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import type { ChildSpec } from './child.ts';
import { type Children, createChildren } from './children.ts';

const folder = mkdtempSync(join(tmpdir(), 'behalf-children-'));
afterAll(() => rmSync(folder, { recursive: true }));
const log = pino({ level: 'silent' });

const READY = `process.stdout.write(JSON.stringify({ ready: true, port: 7 }) + '\\n');`;
const STAY = 'setInterval(() => {}, 1000);';

function part(name: string, script: string): Omit<ChildSpec, 'logFile'> {
  return { name, command: process.execPath, args: ['-e', script], environment: {}, isReady: 'ready-line' };
}

function children(): Children {
  return createChildren(mkdtempSync(join(folder, 'log-')), log);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function codeOf(work: Promise<unknown>): Promise<BehalfError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof BehalfError) return error;
    throw error;
  }
  throw new Error('did not fail');
}

test('a part is ready when its first line says so, and is gone after stop', async () => {
  const all = children();
  const child = await all.start(part('one', `${READY}${STAY}`));
  expect(child.ready).toMatchObject({ ready: true, port: 7 });
  expect(isAlive(child.pid)).toBe(true);
  await all.stop();
  expect(isAlive(child.pid)).toBe(false);
});

test('a part that says why it cannot start is refused with its own code', async () => {
  const all = children();
  const error = await codeOf(
    all.start(
      part('two', `console.log(JSON.stringify({ ready: false, code: 'port_in_use', message: 'm' })); process.exit(1)`),
    ),
  );
  expect(error.code).toBe('port_in_use');
  expect(error.detail).toMatchObject({ process: 'two' });
  await all.stop();
});

test('a part that dies before it is ready is process_died with its last lines', async () => {
  const all = children();
  const error = await codeOf(all.start(part('three', `console.error('what went wrong'); process.exit(3)`)));
  expect(error.code).toBe('process_died');
  expect(error.message).toMatch(/exit code 3/);
  expect(error.message).toMatch(/what went wrong/);
  await all.stop();
});

test('the message about a death leaves out what went well, and names the log that has it', async () => {
  const all = children();
  const script = `console.log('{"level":30,"msg":"all is well"}'); console.error('{"level":50,"msg":"disk full"}');
    console.error('{ not JSON'); process.exit(3)`;
  const { message, detail } = await codeOf(all.start(part('three', script)));
  expect(message).not.toMatch(/all is well/);
  expect(message).toMatch(/disk full/);
  expect(message).toMatch(/not JSON/);
  expect(readFileSync(String(detail['log']), 'utf8')).toMatch(/all is well/);
  await all.stop();
});

test('a program that cannot be run at all is process_died', async () => {
  const all = children();
  const error = await codeOf(all.start({ ...part('four', ''), command: join(folder, 'none') }));
  expect(error.code).toBe('process_died');
  await all.stop();
});

test('a child that ends by itself rejects died, one that was asked to does not', async () => {
  const all = children();
  const child = await all.start(part('five', `${READY}${STAY}`));
  const other = await all.start(part('six', `${READY}${STAY}`));
  child.kill('SIGKILL');
  expect(await child.exited).toMatchObject({ signal: 'SIGKILL', asked: true });
  process.kill(other.pid, 'SIGKILL');
  const error = await codeOf(all.died);
  expect(error.detail).toMatchObject({ process: 'six', how: 'signal SIGKILL' });
  await all.stop();
});

test('restart brings a child back as it was started', async () => {
  const all = children();
  const child = await all.start(part('seven', `${READY}${STAY}`));
  child.kill('SIGKILL');
  const again = await all.restart('seven');
  expect(again.pid).not.toBe(child.pid);
  await all.stop();
  expect(isAlive(again.pid)).toBe(false);
});

test('stop ends children that are still starting', async () => {
  const all = children();
  const starting = codeOf(all.start(part('eight', STAY)));
  await all.stop();
  expect((await starting).code).toBe('process_died');
});

test('what a child writes is in its log file, for its owner alone', async () => {
  const logs = mkdtempSync(join(folder, 'log-'));
  const all = createChildren(logs, log);
  await all.start(part('orders sidecar', `console.error('a line');${READY}${STAY}`));
  await all.stop();
  const file = join(logs, 'orders-sidecar.log');
  expect(existsSync(file)).toBe(true);
  expect(readFileSync(file, 'utf8')).toMatch(/a line/);
});
