/** `propagate/` as others install it: packed by npm, installed into an empty folder without a registry, loaded by `--import`. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';

const run = promisify(execFile);
const root = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));
const TSC = root('node_modules/typescript/bin/tsc');

const folder = mkdtempSync(join(tmpdir(), 'behalf-propagate-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What `npm run pack:propagate` does, into a folder of the test's own. */
async function pack(): Promise<string> {
  const made = join(folder, 'dist');
  await run(process.execPath, [TSC, '-p', root('propagate/package'), '--outDir', made]);
  copyFileSync(root('propagate/package/package.json'), join(made, 'package.json'));
  copyFileSync(root('propagate/README.md'), join(made, 'README.md'));
  await run('npm', ['pack', '--pack-destination', folder], { cwd: made });
  return join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) as string);
}

test('the packed hook installs into an empty folder and works there', async () => {
  const app = join(folder, 'app');
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{"type":"module"}');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', await pack()], { cwd: app });
  const installed = join(app, 'node_modules/@behalf/propagate');
  expect(readdirSync(installed).filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))).toEqual([]);
  expect(JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')).dependencies).toBeUndefined();
  writeFileSync(
    join(app, 'app.js'),
    `import http from 'node:http';
const server = http.createServer(async (_request, response) => response.end(await (await fetch(process.env.ECHO)).text()));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`,
  );
  const echo = createServer((request, response) => response.end(request.headers['delegation-context'] ?? 'none'));
  await once(echo.listen(0, '127.0.0.1'), 'listening');
  const port = String((echo.address() as AddressInfo).port);
  const child = spawn(process.execPath, ['--import', '@behalf/propagate', 'app.js'], {
    cwd: app,
    env: { ECHO: `http://127.0.0.1:${port}`, BEHALF_PORTS: port },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const answer = await fetch(`http://127.0.0.1:${line}/`, { headers: { 'Delegation-Context': 'a-handle' } });
    expect(await answer.text()).toBe('a-handle');
  } finally {
    child.kill();
    await exited;
    echo.close();
    echo.closeAllConnections();
  }
}, 120_000);
