/** That the hook of `bench:batch` changes what it says and counts it: links alone, each way in its turn. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { SEQUENCE } from './batch/shared-signatures.ts';

/** Two turns of three links each, and a JWS that is none; each verified, the first link twice. Says what verified. */
const PROGRAM = `
import { generateKeyPairSync } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { signCompactJws, verifyEs256 } from '${new URL('../identity/jws.ts', import.meta.url).href}';
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const sign = (typ, n) => signCompactJws({ typ, alg: 'ES256' }, { n }, privateKey);
const verifies = (compact) => {
  const end = compact.lastIndexOf('.');
  return verifyEs256(compact.slice(0, end), Buffer.from(compact.slice(end + 1), 'base64url'), publicKey);
};
for (let way = 0; way < 3; way++) {
  const links = [];
  for (let turn = 0; turn < 2; turn++) {
    for (let n = 0; n < 3; n++) links.push(sign('dlglink-1+jwt', turn * 3 + n));
    await nextTurn();
    await nextTurn();
  }
  const all = [...links, links[0], sign('wit+jwt', 0)];
  console.log(all.every(verifies), new Set(links.map((link) => link.split('.')[2])).size);
  process.kill(process.pid, 'SIGUSR2');
  await new Promise((resolve) => setTimeout(resolve, 50));
}
`;

test('links are signed one by one, once a turn, or not at all', () => {
  const folder = mkdtempSync(join(tmpdir(), 'behalf-bench-'));
  try {
    const hook = pathToFileURL(new URL('batch/shared-signatures.ts', import.meta.url).pathname);
    const file = join(folder, 'counts');
    hook.searchParams.set('counts', file);
    const args = ['--import', hook.href, '--input-type=module', '--eval', PROGRAM];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(stdout, stderr).toBe('true 6\ntrue 2\ntrue 1\n');
    const counted = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(counted).toEqual([
      { way: 'own', signed: 6, turns: 0, verified: 0 },
      { way: 'shared', signed: 6, turns: 2, verified: 2 },
      { way: 'free', signed: 6, turns: 0, verified: 0 },
    ]);
    expect(SEQUENCE).toEqual(['own', 'shared', 'free', 'free', 'shared', 'own']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
