/**
 * `behalf contain`, each kind of it, over a mesh of real processes: what is contained is refused with its code where it arrives,
 * what streams is cut, others see nothing of it; and the command tells what was touched.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ObtainedTokens, obtainTokens } from '../authority/headless/index.ts';
import { parseRoot } from '../delegation/root/index.ts';
import { connectService, meshClientTlsOptions } from '../identity/mtls/index.ts';
import type { OwnIdentity } from '../identity/own/own-identity.ts';
import { auditQuery } from '../proto/behalf/audit/v1/audit.ts';
import { attest, type Fields, type Probe, startProbe } from './mesh/probe.ts';
import { expectCode, hopOnRecord, refusedConnections } from './mesh/refusals.ts';
import { type CliRun, runCli } from './mesh/run-cli.ts';
import { eventually, type RunningMesh, runMesh } from './mesh/running-mesh.ts';
import { CLIENT, SCOPES, twoServices, workload } from './mesh/two-services.ts';

/** A withdrawal counts everywhere within this (DESIGN section 6). */
const IN_FORCE_MS = 1_000;
const OTHER_CLIENT = { ...CLIENT, id: 'other-app' };
const ACCOUNTS = { ada: 'correct horse', bob: 'battery staple', cyd: 'some other words', dan: 'yet more words' };
type Account = keyof typeof ACCOUNTS;

let running: RunningMesh;
let folder: string;
let probe: Probe;
let bystander: string;
let stream: Stream;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'behalf-contain-'));
  running = await runMesh((dir) => {
    const plan = twoServices(dir, { accounts: ACCOUNTS });
    const authority = plan.authority as { clients: { id: string; name: string }[] };
    const [first] = authority.clients;
    const other = { ...structuredClone(first!), id: OTHER_CLIENT.id, name: 'Other app' };
    return { ...plan, authority: { ...authority, clients: [first!, other] } };
  });
  bystander = (await running.signIn('dan', ACCOUNTS.dan)).accessToken;
  probe = await startProbe(running, bystander);
  // Whatever is contained below, this one goes on until the last test.
  stream = openStream(bystander);
  await stream.flowing;
}, 120_000);

afterAll(async () => {
  await probe?.identity.close();
  await running?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const contain = (...args: string[]): Promise<CliRun> => runCli('contain', ...args, '--json', '--dir', running.dir.path);

/** Contains and expects it done; gives the answer. */
async function contained(...args: string[]): Promise<Record<string, unknown>> {
  const run = await contain(...args);
  expect([run.code, run.stderr]).toEqual([0, '']);
  return run.answer as Record<string, unknown>;
}

const signIn = (account: Account, client: { id: string } = CLIENT): Promise<ObtainedTokens> =>
  obtainTokens({
    issuer: running.mesh.file.authority!.issuer,
    clientId: client.id,
    redirectUri: CLIENT.redirectUri,
    account,
    password: ACCOUNTS[account],
    scopes: [...SCOPES],
    purpose: client.id,
    durationS: 3600,
  });

const entry = (path = '/notes'): string => `${running.service('front').entry}${path}`;
const askWith = (token: string): Promise<Response> => fetch(entry(), { headers: { Authorization: `Bearer ${token}` } });

async function codeOf(token: string): Promise<string> {
  const answer = await askWith(token);
  const body = (await answer.json()) as { code?: string };
  return answer.ok ? 'ok' : (body.code ?? String(answer.status));
}

async function expectUnharmed(): Promise<void> {
  expect(await codeOf(bystander)).toBe('ok');
  expect(stream.hasEnded()).toBe(false);
}

interface Stream {
  readonly flowing: Promise<void>;
  /** Resolves with whether it ended cleanly. */
  readonly ended: Promise<boolean>;
  hasEnded(): boolean;
}

function openStream(token: string): Stream {
  const outgoing = request(entry('/stream'), { headers: { Authorization: `Bearer ${token}` } });
  const flowing = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<boolean>();
  let isOver = false;
  const over = (clean: boolean): void => {
    isOver = true;
    ended.resolve(clean);
  };
  outgoing.on('error', (error) => {
    flowing.reject(error);
    over(false);
  });
  outgoing.on('response', (response) => {
    response.once('data', () => flowing.resolve());
    response.resume();
    response.on('error', () => undefined);
    response.on('close', () => over(response.complete));
  });
  outgoing.end();
  return { flowing: flowing.promise, ended: ended.promise, hasEnded: () => isOver };
}

/** The codes with which running calls were ended, on record. */
async function endCodes(since: number): Promise<string[]> {
  return (await running.hops())
    .filter(({ logged }) => logged.index >= since)
    .flatMap(({ event }) =>
      event.body === 'hopEnd' && event.hopEnd.outcome === 'OUTCOME_ENDED' ? [event.hopEnd.code] : [],
    );
}

const logSize = async (): Promise<number> => (await running.query.summary({})).logSize;

/** Cuts a stream of that user by containing something, and says how long after the answer it ended. */
async function cutBy(token: string, code: string, ...args: string[]): Promise<Record<string, unknown>> {
  const since = await logSize();
  const cut = openStream(token);
  await cut.flowing;
  const answer = await contained(...args);
  const answeredMs = performance.now();
  expect(await cut.ended).toBe(false);
  expect(performance.now() - answeredMs).toBeLessThan(IN_FORCE_MS);
  await eventually(async () => ((await endCodes(since)).includes(code) ? true : null));
  return answer;
}

test('consent: streams end with consent_withdrawn, and the user’s other consent stays', async () => {
  const mine = await signIn('ada');
  const other = await signIn('ada', OTHER_CLIENT);
  const answer = await cutBy(
    mine.accessToken,
    'consent_withdrawn',
    '--consent',
    mine.consentId,
    '--reason',
    'asked us',
  );
  expect(answer).toMatchObject({
    target: { kind: 'consent', value: mine.consentId },
    dryRun: false,
    revoked: { source: 'authority', kind: 'consent', grantsEnded: 1 },
    radius: { complete: true, users: [{ name: 'ada' }] },
  });
  expect(await codeOf(mine.accessToken)).toBe('consent_withdrawn');
  expect(await codeOf(other.accessToken)).toBe('ok');
  await expectUnharmed();
}, 60_000);

test('user: every token ends, on every client; a ban outlasts a new sign-in until it is lifted', async () => {
  const first = await signIn('ada');
  const second = await signIn('ada', OTHER_CLIENT);
  await cutBy(second.accessToken, 'delegation_revoked', '--user', 'ada', '--ban');
  for (const { accessToken } of [first, second]) expect(await codeOf(accessToken)).toBe('entry_token_invalid');
  const again = await signIn('ada');
  expect(await codeOf(again.accessToken)).toBe('entry_token_invalid');
  await contained('--user', 'ada', '--lift');
  await eventually(async () => ((await codeOf(again.accessToken)) === 'ok' ? true : null));
  expect((await contain('--user', 'ada', '--lift')).code).toBe(1);
  await expectUnharmed();
}, 60_000);

test('client: the tokens of every user end, those of another client do not', async () => {
  const theirs = await Promise.all([signIn('bob', OTHER_CLIENT), signIn('cyd', OTHER_CLIENT)]);
  const other = await signIn('bob');
  await cutBy(theirs[0]!.accessToken, 'delegation_revoked', '--client', OTHER_CLIENT.id);
  for (const { accessToken } of theirs) expect(await codeOf(accessToken)).toBe('entry_token_invalid');
  expect(await codeOf(other.accessToken)).toBe('ok');
  await expectUnharmed();
}, 60_000);

test('transaction: the chains on one root are refused at the receiver, another root of the user is not', async () => {
  const chain = await probe.chain();
  const { answer } = await probe.present(chain);
  expect(answer.status).toBe(200);
  const { txn } = parseRoot(chain['txn-token']!).claims;
  await contained('--txn', txn);
  const refused = await probe.present(chain);
  expectCode(refused.answer, 403, 'delegation_revoked');
  expect(await hopOnRecord(running, refused.hopId)).toMatchObject({ code: 'delegation_revoked' });
  expect((await probe.present(await probe.chain())).answer.status).toBe(200);
  await expectUnharmed();
}, 60_000);

test('certificate: its connections are refused with peer_revoked, the workload’s next one is taken', async () => {
  const chain = await probe.chain();
  const { serialHex } = probe.identity.current();
  expect(await contained('--cert', serialHex)).toMatchObject({ revoked: { source: 'ca', kind: 'cert' } });
  const { answer } = await probe.present(chain);
  expectCode(answer, 401, 'peer_revoked');
  const found = await eventually(async () => (await refusedConnections(running, 'peer_revoked'))[0] ?? null);
  expect(BigInt(`0x${found.peerSerial.toString('hex')}`)).toBe(BigInt(`0x${serialHex}`));
  await forgetProbe();
  probe = await startProbe(running, bystander);
  expect((await probe.present(await probe.chain())).answer.status).toBe(200);
  await expectUnharmed();
}, 60_000);

async function askCollector(identity: OwnIdentity): Promise<unknown> {
  const { address, id } = running.mesh.file.collector;
  const client = connectService(auditQuery, { address, identity, expect: id, log: pino({ level: 'silent' }) });
  return client.summary({}).finally(client.close);
}

/** What a clean replacement begins with: nothing of the one before. */
async function forgetProbe(): Promise<void> {
  await probe.identity.close();
  rmSync(running.mesh.dir.folder('workloads', 'probe'), { recursive: true });
}

/** A stream on the mesh port, as a workload with its own key opens it. */
async function openMeshStream(identity: OwnIdentity, fields: Fields): Promise<{ ended: Promise<void> }> {
  const [host, port] = running.service('back').mesh.split(':');
  const socket = connectTls({
    ...meshClientTlsOptions(identity),
    host,
    port: Number(port),
    ALPNProtocols: ['behalf-h2/1'],
  });
  const session = connectHttp2('http://back', { createConnection: () => socket });
  session.on('error', () => undefined);
  const opened = session.request({
    ':path': '/stream',
    ...fields,
    'delegation-hop': probe.nextHop().header,
  });
  opened.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    opened.once('data', () => resolve());
    opened.once('close', () => reject(new Error('the stream ended at once')));
  });
  opened.resume();
  // The connection goes with the stream: both ends of it are the revoked one's.
  return { ended: new Promise((resolve) => session.once('close', () => resolve())) };
}

test('workload: stream and connection end, new ones are refused; banned, it cannot attest until the ban is lifted', async () => {
  const chain = await probe.chain();
  const { ended } = await openMeshStream(probe.identity, chain);
  const since = await logSize();
  const answer = await contained('--workload', workload('probe'), '--ban', '--reason', 'core dump on a share');
  expect(answer).toMatchObject({
    revoked: { source: 'ca', kind: 'workload', banned: true },
    radius: { services: [{ service: workload('back') }] },
  });
  await ended;
  await eventually(async () => ((await endCodes(since)).includes('delegation_revoked') ? true : null));
  expectCode((await probe.present(chain)).answer, 401, 'peer_revoked');
  // The parts let it in no more either.
  await expect(probe.chain()).rejects.toMatchObject({ code: 'peer_revoked' });
  await expect(askCollector(probe.identity)).rejects.toMatchObject({ code: 'peer_revoked' });
  const [revocation] = (await running.events('revocation')).slice(-1);
  expect(revocation?.event).toMatchObject({
    revocation: { kind: 'workload', value: workload('probe'), reason: 'core dump on a share' },
  });
  await forgetProbe();
  await expect(attest(running, 'probe')).rejects.toMatchObject({ code: 'peer_revoked' });
  await contained('--workload', workload('probe'), '--lift');
  probe = await startProbe(running, bystander);
  expect((await probe.present(await probe.chain())).answer.status).toBe(200);
  await expectUnharmed();
}, 60_000);

test('a dry run shows the radius and revokes nothing; notices and a drawing name who was affected', async () => {
  const { accessToken } = await signIn('cyd');
  expect(await codeOf(accessToken)).toBe('ok');
  const before = await running.events('revocation');
  const picture = join(folder, 'radius.svg');
  const notices = join(folder, 'notices');
  const ask = ['--workload', 'back', '--dry-run', '--svg', picture, '--notify', '--notices', notices] as const;
  const answer = await eventually(async () => {
    const said = await contained(...ask);
    const { users } = said['radius'] as { users: { name: string }[] };
    return users.some(({ name }) => name === 'cyd') ? said : null;
  });
  expect(answer).toMatchObject({ dryRun: true, revoked: null, notices: { folder: notices }, svg: picture });
  expect(await running.events('revocation')).toHaveLength(before.length);
  expect(await codeOf(accessToken)).toBe('ok');
  const users = (answer['radius'] as { users: { subject: string; name: string }[] }).users;
  expect(new Set(users.map(({ name }) => name))).toEqual(new Set(Object.keys(ACCOUNTS)));
  const { subject } = users.find(({ name }) => name === 'cyd')!;
  expect(readdirSync(notices)).toHaveLength(2 * users.length);
  const base = join(notices, subject.replaceAll(/[^A-Za-z0-9_-]/g, '-'));
  expect(readFileSync(`${base}.txt`, 'utf8')).toContain('Hello cyd,');
  expect(JSON.parse(readFileSync(`${base}.json`, 'utf8'))).toMatchObject({ sub_id: { format: 'opaque', id: subject } });
  for (const name of ['front', 'back', 'probe']) expect(readFileSync(picture, 'utf8')).toContain(`>${name}</text>`);
  expect(existsSync(join(running.dir.path, 'notices'))).toBe(false);

  const text = await runCli('contain', '--workload', 'back', '--dry-run', '--dir', running.dir.path);
  expect(text.stdout).toMatch(/dry run: nothing is revoked/);
  expect(text.stdout).toMatch(/Blast radius since .* UTC: \d+ requests?, \d+ hops?/);
  expect(text.stdout).toMatch(/cyd \(u:/);
}, 60_000);

test('wrong use is told before anything is done', async () => {
  const before = (await running.events('revocation')).length;
  for (const args of [
    [],
    ['--user', 'ada', '--client', CLIENT.id],
    ['--txn', 'x', '--ban'],
    ['--user', 'ada', '--since', 'yesterday'],
    ['--user', 'ada', '--dry-run', '--ban'],
    ['--user', 'ada', '--notices', folder],
    ['--cert', 'xyz'],
  ]) {
    expect([args, (await contain(...args)).code]).toEqual([args, 2]);
  }
  for (const args of [
    ['--user', 'nobody'],
    ['--user', 'u:AAAAAAAAAAAAAAAAAAAAAA'],
    ['--consent', 'c:none'],
    ['--kid', 'none'],
    ['--cert', 'ffff'],
  ]) {
    const { code, answer } = await contain(...args);
    expect([args, code, answer?.['code']]).toEqual([args, 1, 'not_found']);
  }
  expect(await running.events('revocation')).toHaveLength(before);
}, 120_000);

test('root key: what it signed is refused at once, streams too, and a new key signs what users do next', async () => {
  const { accessToken } = await signIn('bob');
  const chain = await probe.chain();
  expect((await probe.present(chain)).answer.status).toBe(200);
  const { kid } = parseRoot(chain['txn-token']!);
  const answer = await cutBy(accessToken, 'delegation_revoked', '--kid', kid);
  const { nextKid } = answer['revoked'] as { nextKid: string };
  expect(nextKid).not.toBe(kid);
  // Every user's stream rests on the key, the bystander's too.
  expect(await stream.ended).toBe(false);
  expectCode((await probe.present(chain)).answer, 403, 'delegation_revoked');
  await eventually(async () => ((await codeOf(accessToken)) === 'ok' ? true : null));
  expect(await codeOf(bystander)).toBe('ok');
  const { keys } = (await (await fetch(running.mesh.file.authority!.jwksUri)).json()) as { keys: { kid: string }[] };
  expect(keys.map((key) => key.kid)).not.toContain(kid);
}, 60_000);
