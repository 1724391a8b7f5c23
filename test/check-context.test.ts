/** `behalf check context` tells the apps apart that pass context on from those that do not, in each language that is here. */
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { ContextReport } from '../cli/check/judge-calls.ts';
import { PEER_NAMES, type PeerName, readyPeers } from './peers/peers.ts';

const root = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const PLAIN = root('examples/context/node/plain.ts');
const POOL = root('cli/check/testdata/pool.cjs');
const HOOK = ['--import', root('propagate/register.ts')];

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function check(...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [root('cli/behalf.ts'), 'check', 'context', ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

async function reportOn(...args: string[]): Promise<ContextReport & { readonly code: number }> {
  const { code, stdout } = await check('--json', '--requests', '120', ...args);
  return { code, ...(JSON.parse(stdout.trim().split('\n').at(-1) as string) as ContextReport) };
}

const WAYS: Readonly<Record<PeerName, string>> = {
  'node-copy': 'context',
  'node-hook': 'context',
  'node-otel': 'baggage',
  'node-trace': 'trace',
  'python-copy': 'context',
  'python-otel': 'baggage',
  'go-copy': 'context',
  'go-otel': 'baggage',
};

test('each example passes, by its way', async () => {
  for (const [name, app] of await readyPeers(PEER_NAMES)) {
    const traced = name === 'node-trace' ? ['--trace-id'] : [];
    const report = await reportOn(...traced, '--', app.command, ...app.args);
    expect(report, name).toMatchObject({ code: 0, ok: true, way: WAYS[name], verdicts: { right: 120 } });
  }
}, 240_000);

test('an app that passes nothing on, or the trace id alone, does not pass', async () => {
  expect(await reportOn('--', 'node', PLAIN)).toMatchObject({ code: 1, verdicts: { missing: 120 }, way: null });
  const traced = await reportOn('--', 'node', '--import', root('examples/context/node/otel-trace.ts'), PLAIN);
  expect(traced).toMatchObject({ code: 1, verdicts: { missing: 120 }, way: 'trace' });
}, 60_000);

test('a callback pool that hands one request’s work to another is seen under the hook', async () => {
  const { code, verdicts, bad } = await reportOn('--', 'node', ...HOOK, POOL);
  expect(code).toBe(1);
  expect(verdicts.wrong).toBeGreaterThan(0);
  expect(bad[0]?.named).not.toContain(bad[0]?.madeFor);
}, 60_000);

test('for a person it says yes or no first', async () => {
  const { code, stdout } = await check('--requests', '20', '--', 'node', ...HOOK, PLAIN);
  expect(code).toBe(0);
  expect(stdout.split('\n')[0]).toBe('Yes: the app passes context on, by Delegation-Context.');
}, 60_000);

test('an app with ports of its own is told apart by --listen and --url', async () => {
  const [listen, url] = await Promise.all([freePort(), freePort()]);
  const program = `http.createServer((q, s) => q.resume().on('end', () => http.get(
    { port: ${url}, path: q.url, headers: { 'Delegation-Context': q.headers['delegation-context'] } }, (a) => a.pipe(s)))).listen(${listen}, '127.0.0.1')`;
  const report = await reportOn(
    ...['--listen', `127.0.0.1:${listen}`, '--url', `http://127.0.0.1:${url}`],
    ...['--', 'node', '-e', program],
  );
  expect(report).toMatchObject({ code: 0, way: 'context' });
}, 60_000);

test('an app that ends, never listens or makes no call is a no; wrong use is 2', async () => {
  expect((await check('--', 'node', '-e', '0')).code).toBe(1);
  expect((await check('--', '/no/such/program')).code).toBe(1);
  expect((await check('--start', '300', '--', 'node', '-e', 'setInterval(() => 0, 1000)')).code).toBe(1);
  const silent = "http.createServer((q, s) => s.end()).listen(Number(process.env.PORT), '127.0.0.1')";
  expect(await reportOn('--', 'node', '-e', silent)).toMatchObject({ code: 1, calls: 0 });
  for (const wrong of [
    [],
    ['--requests', '0', '--', 'x'],
    ['--listen', '10.0.0.1:80', '--', 'x'],
    ['--url', 'http://example.com:80', '--', 'x'],
  ]) {
    expect((await check(...wrong)).code, wrong.join(' ')).toBe(2);
  }
}, 60_000);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
