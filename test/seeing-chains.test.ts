/** What an operator sees of calls afterwards: chains in words, verified offline and from the log, compared, refusals explained. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type HopView, joinHops } from '../cli/hops/hop-view.ts';
import { listHops } from '../cli/hops/query.ts';
import type { ChainBody } from '../proto/behalf/audit/v1/audit.ts';
import { type CliRun, runCli } from './mesh/run-cli.ts';
import { eventually, type RunningMesh, runMesh } from './mesh/running-mesh.ts';
import { twoServices, workload } from './mesh/two-services.ts';

let running: RunningMesh;
let folder: string;
let token: string;
/** Each request's own hops: the entry's, then front's call of back. */
let allowed: Request;
let neverGranted: Request;
let narrowedAway: Request;
let chain: ChainBody;
let bundleFile: string;
let chainFile: string;

interface Request {
  readonly entry: HopView;
  readonly call: HopView;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'behalf-seeing-'));
  running = await runMesh((dir) => twoServices(dir, { accounts: { ada: 'correct horse' } }));
  ({ accessToken: token } = await running.signIn('ada', 'correct horse'));
  allowed = await requestOnRecord('/notes');
  neverGranted = await requestOnRecord('/admin/all');
  narrowedAway = await requestOnRecord('/notes', { 'x-ask-scope': 'notes:write' });
  chain = (await running.query.getChain({ hopId: idOf(allowed.call) })).chain as ChainBody;
  bundleFile = join(folder, 'bundle.json');
  writeFileSync(bundleFile, JSON.stringify(running.mesh.operator.bundle().document));
  chainFile = join(folder, 'chain.txt');
  writeFileSync(
    chainFile,
    `Txn-Token: ${chain.txnToken}\nDelegation-Chain: ${chain.delegationChain}\nDelegation-Credentials: ${chain.delegationCredentials}\n`,
  );
}, 120_000);

afterAll(async () => {
  await running?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('a recorded chain is told in words, judged again', async () => {
  const { code, stdout } = await cli('chain', 'show', allowed.call.id);
  expect(code).toBe(0);
  expect(stdout).toMatch(/ada \(u:[\w-]{22}\) let the client test-app act, for: test\./);
  expect(stdout).toContain('1. front handed it to back at ');
  expect(stdout).toContain(`signed by ${workload('front')}`);
  expect(stdout).toContain('All signatures and rules hold, judged again now as of the time of the call.');
});

test('a bare root at the entry is told and judged too', async () => {
  const { code, answer } = await cli('chain', 'show', allowed.entry.id, '--json');
  expect({ code, verified: answer?.['verified'] }).toEqual({ code: 0, verified: true });
  expect(answer?.['delegation']).toMatchObject({ entry: workload('front'), links: [] });
});

test('a chain in hand is verified offline, with the mesh’s bundle, as of its time; now it has ended', async () => {
  const at = String(startS(allowed.call));
  const given = ['--bundle', bundleFile, '--me', workload('back'), '--peer', workload('front'), chainFile, '--json'];
  const then = await cli('chain', 'verify', '--at', at, ...given);
  expect({ code: then.code, outcome: then.answer?.['outcome'] }).toEqual({ code: 0, outcome: 'holds' });
  const now = await cli('chain', 'verify', '--at', String(startS(allowed.call) + 400), ...given);
  expect({ code: now.code, said: now.answer?.['code'] }).toEqual({ code: 1, said: 'delegation_expired' });
  const stolen = await cli(
    'chain',
    'verify',
    '--at',
    at,
    ...given.map((arg) => (arg === workload('front') ? workload('mallory') : arg)),
  );
  expect({ code: stolen.code, said: stolen.answer?.['code'] }).toEqual({ code: 1, said: 'delegation_holder_mismatch' });
});

test('a recorded chain is verified from the log: body, event, leaf, inclusion, then every check', async () => {
  const { code, answer } = await cli('chain', 'verify', '--from-log', allowed.call.id, '--json');
  expect({ code, outcome: answer?.['outcome'] }).toEqual({ code: 0, outcome: 'holds' });
  const checks = answer?.['checks'] as { step: number | string; verdict: string; check: string }[];
  const ofLog = checks.filter(({ step }) => step === 'log');
  expect(ofLog.map(({ verdict }) => verdict)).toEqual(Array(6).fill('ok'));
  expect(checks.filter(({ step }) => step === 5 || step === 6).every(({ verdict }) => verdict === 'ok')).toBe(true);
  const entry = await cli('chain', 'verify', '--from-log', allowed.entry.id, '--json');
  expect({ code: entry.code, outcome: entry.answer?.['outcome'] }).toEqual({ code: 0, outcome: 'holds' });
});

test('two chains are compared; a file and a hop of the same chain are the same', async () => {
  const same = await cli('chain', 'diff', allowed.call.id, chainFile, '--json');
  expect({ code: same.code, same: same.answer?.['same'] }).toEqual({ code: 0, same: true });
  const { code, answer } = await cli('chain', 'diff', allowed.call.id, narrowedAway.call.id, '--json');
  expect(code).toBe(1);
  const scope = listOf<{ object: string; member: string }>(answer, 'differences').find(
    ({ object, member }) => object === 'link 1' && member === 'scope',
  );
  expect(scope).toMatchObject({ b: 'notes:write' });
  const handedOn = await cli('chain', 'diff', allowed.entry.id, allowed.call.id, '--json');
  expect(handedOn.answer?.['relation']).toMatch(/^B is A handed on/);
});

test('an allowed call is explained: by which policy, under what, and that both sides tell the same', async () => {
  const { code, stdout } = await cli('explain', allowed.call.id);
  expect(code).toBe(0);
  for (const words of [
    /front called back, GET \/\{\+path\}, at /,
    /On behalf of ada \(u:[\w-]{22}\), through the client test-app, for: test\./,
    /Allowed, status 200\./,
    /The route needs notes:read\./,
    /Policy test-allows-edges permits it\./,
    /Judged under snapshot 1, live state of the authority through \d+, of the CA through \d+/,
    /Consent \S+ is active, version 1: notes:read notes:write, until /,
    /Both sides tell the same\./,
  ])
    expect(stdout).toMatch(words);
});

test('a scope that was never granted is named as that', async () => {
  const { answer, stdout } = await cli('explain', neverGranted.call.id, '--json');
  expect(answer).toMatchObject({
    allowed: false,
    code: 'insufficient_scope',
    losses: [{ scope: 'notes:admin', at: 'consent' }],
  });
  expect(stdout).toContain('The route needs notes:admin. Missing: notes:admin.');
  expect(stdout).toContain('Have the user grant it.');
});

test('a scope that was lost on the way is found at its link and hop', async () => {
  const { answer } = await cli('explain', narrowedAway.call.id, '--json');
  expect(answer).toMatchObject({
    code: 'insufficient_scope',
    losses: [{ scope: 'notes:read', at: 'link', link: 1, hop: narrowedAway.call.id }],
  });
});

test('after the consent was withdrawn the refusal says so, when and by whom', async () => {
  const { code } = await cli('consent', 'revoke', '--user', 'ada');
  expect(code).toBe(0);
  const { entry } = await refusedOnRecord('/notes');
  const { stdout } = await cli('explain', entry.id);
  expect(stdout).toMatch(
    /Refused: (consent_withdrawn|delegation_revoked|entry_token_invalid), by the sidecar of front\./,
  );
  const { stdout: before } = await cli('explain', allowed.call.id);
  expect(before).toMatch(/Consent \S+ is (revoked|withdrawn), version \d+/);
  expect(before).toMatch(/Revoked: consent \S+, at .* UTC, by /);
  const { answer } = await cli('chain', 'verify', '--from-log', allowed.call.id, '--json');
  const live = listOf<{ step: number; why: string }>(answer, 'checks').find(({ step }) => step === 4);
  expect(live?.why).toMatch(/consent \S+ was revoked since, at /);
});

test('no command shows a token, a signature or a key', async () => {
  const runs = await Promise.all([
    cli('chain', 'show', allowed.call.id),
    cli('chain', 'show', allowed.call.id, '--json'),
    cli('chain', 'show', chainFile),
    cli('chain', 'verify', '--bundle', bundleFile, chainFile),
    cli('chain', 'verify', '--from-log', allowed.call.id, '--json'),
    cli('chain', 'diff', allowed.call.id, narrowedAway.call.id),
    cli('explain', allowed.call.id, '--json'),
  ]);
  const shown = runs.map(({ stdout, stderr }) => stdout + stderr).join('\n');
  const { txnToken, delegationChain, delegationCredentials } = chain;
  for (const part of [txnToken, delegationChain, delegationCredentials].flatMap((value) => value.split(/[., ]+/)))
    expect(shown).not.toContain(part);
});

test('what is no hop is wrong use, an unknown one is not found', async () => {
  expect((await cli('explain', 'nothing')).code).toBe(2);
  const unknown = await cli('explain', 'AAAAAAAAAAAAAAAA', '--json');
  expect({ code: unknown.code, said: unknown.answer?.['code'] }).toEqual({ code: 1, said: 'not_found' });
  expect((await cli('chain', 'verify')).code).toBe(2);
  expect((await cli('chain', 'verify', chainFile, '--txn-token', 'x')).code).toBe(2);
});

function cli(...args: readonly string[]): Promise<CliRun> {
  const needsMesh = args.some((arg) => /^[A-Za-z0-9_-]{16}$/.test(arg)) || args[0] === 'consent';
  return runCli(...args, ...(needsMesh ? ['--dir', running.dir.path] : []));
}

function listOf<T>(answer: CliRun['answer'], member: string): readonly T[] {
  return (answer?.[member] ?? []) as readonly T[];
}

function idOf({ id }: HopView): Buffer {
  return Buffer.from(id, 'base64url');
}

function startS({ main }: HopView): number {
  return (main.timeUs - main.hop.durationUs) / 1e6;
}

/** Makes a request as ada and waits until the entry and both sides of the call are on record. */
async function requestOnRecord(path: string, headers: Record<string, string> = {}): Promise<Request> {
  const known = await entriesNow();
  await fetch(`${running.service('front').entry}${path}`, {
    headers: { Authorization: `Bearer ${token}`, ...headers },
  });
  return eventually(async () => {
    const hops = joinHops(await listHops(running.query, {}));
    const entry = hops.find((hop) => isEntry(hop) && !known.has(hop.id));
    const call = hops.find(({ request, sides }) => request === entry?.request && sides.length === 2);
    return entry === undefined || call === undefined ? null : { entry, call };
  });
}

/** The same for one that does not get past the entry. */
async function refusedOnRecord(path: string): Promise<{ entry: HopView }> {
  const known = await entriesNow();
  return eventually(async () => {
    await fetch(`${running.service('front').entry}${path}`, { headers: { Authorization: `Bearer ${token}` } });
    const entry = joinHops(await listHops(running.query, {})).find(
      (hop) => isEntry(hop) && !known.has(hop.id) && hop.main.hop.code !== '',
    );
    return entry === undefined ? null : { entry };
  });
}

async function entriesNow(): Promise<ReadonlySet<string>> {
  return new Set(
    joinHops(await listHops(running.query, {}))
      .filter(isEntry)
      .map(({ id }) => id),
  );
}

function isEntry({ sides }: HopView): boolean {
  return sides.some(({ hop }) => hop.side === 'SIDE_ENTRY');
}
