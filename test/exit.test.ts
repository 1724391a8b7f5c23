/**
 * Calls to the outside over a mesh of real processes, with real servers outside that write down what they see: the delegation stays,
 * what leaves is what the exit says, nothing goes to who does not prove its name, and what is taken back ends there too.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MeshPlan } from '../cli/mesh/plan.ts';
import type { StateDir } from '../cli/mesh/state-dir.ts';
import type { Hop } from '../proto/behalf/audit/v1/audit.ts';
import { createOutsideCa, type OutsideServer, type SeenRequest, startOutside } from './mesh/outside-world.ts';
import { runCli } from './mesh/run-cli.ts';
import { eventually, type RunningMesh, runMesh } from './mesh/running-mesh.ts';
import { twoServices, workload } from './mesh/two-services.ts';

const BANK_NAME = 'api.bank.example';
const BANK = `https://${BANK_NAME}`;
const MAIL = 'https://mail.example';
const OTHERS = 'https://others.example';
const ACCOUNTS = { ada: 'correct horse', bob: 'battery staple' };
const PROGRAM = fileURLToPath(new URL('mesh/services/outgoing.ts', import.meta.url));

let running: RunningMesh;
let folder: string;
let bank: OutsideServer;
let mail: OutsideServer;
let wrongName: OutsideServer;
let expired: OutsideServer;
let otherCa: OutsideServer;
let byAddress: OutsideServer;
let plain: OutsideServer;
let ada: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'behalf-exit-'));
  const ca = createOutsideCa(join(folder, 'ca'));
  const stranger = createOutsideCa(join(folder, 'stranger'));
  bank = await startOutside(ca.issue(BANK_NAME));
  mail = await startOutside(ca.issue(BANK_NAME), { http2: false });
  wrongName = await startOutside(ca.issue('evil.example'));
  expired = await startOutside(ca.issue(BANK_NAME, { expired: true }));
  otherCa = await startOutside(stranger.issue(BANK_NAME));
  byAddress = await startOutside(ca.issue('localhost'));
  plain = await startOutside(null);
  running = await runMesh((dir) => planOf(dir, ca.pem));
  ada = (await running.signIn('ada', ACCOUNTS.ada)).accessToken;
  await eventually(async () => ((await out('bank', 'ready')).status === 200 ? true : null));
}, 120_000);

afterAll(async () => {
  await running?.stop();
  for (const server of [bank, mail, wrongName, expired, otherCa, byAddress, plain]) await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

function planOf(dir: StateDir, ca: string): MeshPlan {
  const plan = twoServices(dir, { accounts: ACCOUNTS });
  const tls = `tls: { ca: outside.pem, serverName: ${BANK_NAME} }`;
  const exit = (name: string, port: number, more: string): string =>
    `  ${name}: { owner: team-test, reason: tests, from: [front], origin: "https://127.0.0.1:${port}", ${tls}, ${more} }\n`;
  const open = 'privateAddresses: true';
  const exits =
    exit(
      'bank',
      bank.port,
      `${open}, token: { audience: "${BANK}", scopes: { "notes:read": accounts, "notes:write": pay }, actor: true }`,
    ) +
    exit(
      'mail',
      mail.port,
      `${open}, own: { scopes: ["notes:write"] }, token: { audience: "${MAIL}", scopes: { "notes:write": send } }`,
    ) +
    exit('wrong-name', wrongName.port, open) +
    exit('expired', expired.port, open) +
    exit('other-ca', otherCa.port, open) +
    exit('tokenless', bank.port, `${open}, routes: [{ method: GET, path: "/only/{id}", scopes: [] }]`) +
    exit('administer', bank.port, `${open}, routes: [{ method: "*", path: "/{+path}", scopes: ["notes:admin"] }]`) +
    exit('forbidden', bank.port, open) +
    exit('inside', bank.port, 'own: { scopes: [] }') +
    `  by-name: { owner: team-test, reason: tests, from: [front], origin: "https://localhost:${bank.port}", ${tls} }\n` +
    `  by-address: { owner: team-test, reason: tests, from: [front], origin: "https://localhost:${byAddress.port}", ` +
    `tls: { ca: outside.pem, serverName: 192.0.2.1 }, ${open} }\n` +
    `  plain: { owner: team-test, reason: tests, from: [front], origin: "http://127.0.0.1:${plain.port}", plain: true, ${open}, own: { scopes: [] } }\n` +
    `  others: { owner: team-test, reason: tests, from: [back], origin: "https://127.0.0.1:${bank.port}", ${tls}, ${open}, ` +
    `token: { audience: "${OTHERS}", scopes: { "notes:read": see }, actor: true } }\n`;
  const names = [...exits.matchAll(/^ {2}([a-z-]+):/gm)].map(([, name]) => name as string);
  const [front, back] = plan.services;
  return {
    ...plan,
    policy: {
      ...plan.policy,
      'mesh.yaml': `${plan.policy['mesh.yaml']}exits:\n${exits}`,
      'outside.pem': ca,
      'test.cedar': `@id("test-allows-all")\npermit (principal, action, resource);
@id("never-there")\nforbid (principal, action == Behalf::Action::"exit", resource in Behalf::Exit::"forbidden");\n`,
    },
    services: [
      {
        ...front!,
        exits: names,
        program: ({ listen, shared, exits: ports, peers }) => outgoing(listen, shared, { ...ports, ...peers }),
      },
      {
        ...back!,
        exits: ['others'],
        program: ({ listen, shared, exits: ports }) => outgoing(listen, shared, ports),
      },
    ],
  };
}

function outgoing(listen: string, shared: string, ports: Readonly<Record<string, string>>) {
  const port = listen.slice(listen.lastIndexOf(':') + 1);
  const environment = { PORT: port, EXITS: JSON.stringify(ports), SHARED_URL: shared };
  return { command: process.execPath, args: [PROGRAM], environment };
}

interface Answer {
  readonly status: number;
  readonly code: string;
  readonly got: readonly string[];
  readonly location: string | null;
}

/** A user's request, which makes `front` call that exit. */
async function out(exit: string, path: string, headers: Record<string, string> = {}, token = ada): Promise<Answer> {
  const answer = await fetch(`${running.service('front').entry}/to/${exit}/${path}`, {
    headers: { Authorization: `Bearer ${token}`, ...headers },
  });
  const text = await answer.text();
  const isProblem = answer.headers.get('content-type') === 'application/problem+json';
  return {
    status: answer.status,
    code: isProblem ? String((JSON.parse(text) as { code?: string }).code) : '',
    got: JSON.parse(answer.headers.get('x-got') ?? '[]') as string[],
    location: answer.headers.get('x-location'),
  };
}

const lastOf = ({ seen }: OutsideServer): SeenRequest => seen.at(-1) as SeenRequest;
const tokenOf = ({ fields }: SeenRequest): string => (fields['authorization'] ?? '').replace('Bearer ', '');

/** What is on record of the newest call to that exit. */
function exitHop(exit: string, like: (hop: Hop) => boolean = () => true): Promise<Hop> {
  return eventually(async () => {
    const hops = (await running.hops()).flatMap(({ event }) => (event.body === 'hop' ? [event.hop] : []));
    return hops.findLast((hop) => hop.side === 'SIDE_EXIT' && hop.exit === exit && like(hop)) ?? null;
  });
}

const send = (fields: Record<string, string>): Record<string, string> => ({ 'x-send': JSON.stringify(fields) });

test('outside sees the app’s own request and a token, and nothing of the mesh', async () => {
  const ours = { baggage: 'a=1', 'x-own': 'kept', DELEGATION_SUBJECT: 'x', 'txn-token': 'x', dlg: 'x' };
  // Of the app's, and not obeyed by whoever obeys such: the exit judged another route.
  const routes = { 'x-http-method-override': 'DELETE', X_ORIGINAL_URL: '/accounts/2' };
  expect(await out('bank', 'accounts/1?q=2', send({ ...ours, ...routes }))).toMatchObject({ status: 200, code: '' });
  const seen = lastOf(bank);
  expect(seen).toMatchObject({ method: 'GET', url: '/accounts/1?q=2', version: '2.0' });
  const names = Object.keys(seen.fields).filter((name) => !name.startsWith(':'));
  expect(names.filter((name) => /^(delegation|txn|dlg|x.http.method|x.original)/i.test(name))).toEqual([]);
  expect(seen.fields).toMatchObject({ baggage: 'a=1', 'x-own': 'kept', ':authority': `127.0.0.1:${bank.port}` });
  expect(JSON.stringify(seen.fields)).not.toContain('dlg=');
  await out('mail', 'm');
  expect(lastOf(mail)).toMatchObject({ version: '1.1' });
  expect(Object.keys(lastOf(mail).fields).filter((name) => /^(delegation|txn|dlg)/i.test(name))).toEqual([]);
});

test('the token verifies with the published keys, for its audience alone, and names the user as no other does', async () => {
  const { issuer } = running.mesh.file.authority!;
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
  await out('bank', 'a');
  await out('mail', 'a');
  const forBank = await jwtVerify(tokenOf(lastOf(bank)), keys, { issuer, audience: BANK, typ: 'at+jwt' });
  const forMail = await jwtVerify(tokenOf(lastOf(mail)), keys, { issuer, audience: MAIL, typ: 'at+jwt' });
  expect(forBank.payload).toMatchObject({ scope: 'accounts pay', act: { sub: workload('front') } });
  expect(forMail.payload).toMatchObject({ scope: 'send', client_id: 'test.example' });
  expect(forMail.payload['act']).toBeUndefined();
  expect(forBank.payload.sub).not.toBe(forMail.payload.sub);
  const hop = await exitHop('bank', ({ tokenJti }) => tokenJti === forBank.payload.jti);
  expect(hop).toMatchObject({ audience: BANK, callee: '', caller: workload('front'), outcome: 'OUTCOME_FORWARDED' });
  expect([forBank.payload.sub, forMail.payload.sub]).not.toContain(hop.personal?.subject);
  const issued = await eventually(async () => {
    const events = (await running.events('token_issued')).flatMap(({ event }) =>
      event.body === 'tokenIssued' ? [event.tokenIssued] : [],
    );
    return events.find(({ jti }) => jti === forBank.payload.jti) ?? null;
  });
  expect(issued).toMatchObject({ exit: 'bank', workload: workload('front'), outsideScope: 'accounts pay', code: '' });
});

test('the app may ask that less goes on, and the token then says less', async () => {
  expect((await out('bank', 'less', send({ 'delegation-scope': 'notes:read' }))).status).toBe(200);
  expect(decodeJwt(tokenOf(lastOf(bank))).scope).toBe('accounts');
  expect((await out('bank', 'more', send({ 'delegation-scope': 'notes:admin' }))).code).toBe(
    'delegation_scope_widened',
  );
});

test('a service further in goes out with the chain that it was handed, and the token names who acts for whom', async () => {
  expect((await out('back', 'to/others/deep')).status).toBe(200);
  const seen = lastOf(bank);
  expect(seen.url).toBe('/deep');
  expect(Object.keys(seen.fields).filter((name) => /^(delegation|txn|dlg)/i.test(name))).toEqual([]);
  expect(decodeJwt(tokenOf(seen))).toMatchObject({
    aud: OTHERS,
    scope: 'see',
    act: { sub: workload('back'), act: { sub: workload('front') } },
  });
  expect(await exitHop('others', ({ caller }) => caller === workload('back'))).toMatchObject({
    depth: 1,
    actors: [workload('front')],
    audience: OTHERS,
  });
});

test('a token for the outside opens no entry of ours', async () => {
  await out('bank', 'a');
  expect(await out('bank', 'again', {}, tokenOf(lastOf(bank)))).toMatchObject({
    status: 401,
    code: 'entry_token_invalid',
  });
});

test.each([
  ['another workload’s exit', 'others', 'a', 'policy_denied'],
  ['one that the policy forbids', 'forbidden', 'a', 'policy_denied'],
  ['a path that the exit does not name', 'tokenless', 'a', 'route_unknown'],
  ['one for scopes that are not left', 'administer', 'a', 'insufficient_scope'],
  ['one whose certificate has another name', 'wrong-name', 'a', 'exit_untrusted'],
  ['one whose certificate is past its end', 'expired', 'a', 'exit_untrusted'],
  ['one whose certificate is of another CA', 'other-ca', 'a', 'exit_untrusted'],
  ['one that has its host’s name, and not the address that the exit says', 'by-address', 'a', 'exit_untrusted'],
  ['one whose address is this machine’s', 'inside', 'a', 'exit_address_refused'],
  ['one whose name stands for this machine', 'by-name', 'a', 'exit_address_refused'],
])('%s is not called', async (_what, exit, path, code) => {
  const before = bank.seen.length;
  expect((await out(exit, path)).code).toBe(code);
  expect(bank.seen.length).toBe(before);
  for (const server of [wrongName, expired, otherCa, byAddress]) expect(server.seen).toEqual([]);
  expect(await exitHop(exit, (hop) => hop.code === code)).toMatchObject({
    code,
    refusedBy: workload('front'),
    outcome: 'OUTCOME_REFUSED',
  });
});

test('without its context a call goes out only where the exit is for own calls, and then as the workload', async () => {
  expect((await out('bank', 'a', { 'x-without-context': '1' })).code).toBe('delegation_missing');
  expect((await out('mail', 'own', { 'x-without-context': '1' })).status).toBe(200);
  expect(decodeJwt(tokenOf(lastOf(mail)))).toMatchObject({ sub: workload('front'), scope: 'send' });
  expect(await exitHop('mail', ({ carrier }) => carrier === 'own')).toMatchObject({ personal: null });
  expect((await out('mail', 'a', send({ 'delegation-context': 'A'.repeat(22) }))).code).not.toBe('');
});

test('a credential of the app’s own goes where the exit has no token, and nowhere else; ours never', async () => {
  const own = send({ authorization: 'Bearer of-the-app' });
  expect((await out('tokenless', 'only/1', own)).status).toBe(200);
  expect(lastOf(bank).fields['authorization']).toBe('Bearer of-the-app');
  expect((await out('bank', 'a', own)).code).toBe('request_malformed');
  expect((await out('tokenless', 'only/1', send({ authorization: `Bearer ${ada}` }))).code).toBe(
    'delegation_malformed',
  );
});

test('an answer from outside speaks for nobody in the mesh, and a redirect is the app’s to follow', async () => {
  const { got } = await out('bank', 'a');
  expect(got.filter((name) => name.startsWith('delegation-'))).toEqual([]);
  expect(await out('bank', 'redirect')).toMatchObject({ status: 302, location: 'http://127.0.0.1:1/' });
});

test('an exit without TLS is called where the policy says so, and on the shared port an exit goes by its host', async () => {
  expect((await out('plain', 'a')).status).toBe(200);
  expect(lastOf(plain).fields['authorization']).toBeUndefined();
  expect((await out('-', 'shared', { 'x-by-host': 'plain' })).status).toBe(200);
  expect(lastOf(plain).url).toBe('/shared');
  expect((await out('-', 'shared', { 'x-by-host': 'others' })).code).toBe('route_unknown');
});

test('hops and explain name the exit and the audience', async () => {
  await out('bank', 'told');
  const hop = await exitHop('bank');
  const explained = await runCli('explain', hop.hopId.toString('base64url'), '--dir', running.dir.path);
  expect(explained.stdout).toContain('bank');
  expect(explained.stdout).toContain(BANK);
  const hops = await runCli('hops', '--dir', running.dir.path);
  expect(hops.stdout).toContain('front → bank (outside)');
  const chain = await runCli('chain', 'show', hop.hopId.toString('base64url'), '--dir', running.dir.path);
  expect(chain.stdout).toContain('bank (outside)');
});

test('a consent that is withdrawn ends a download that runs, and every further call', async () => {
  const bob = await running.signIn('bob', ACCOUNTS.bob);
  const answer = await fetch(`${running.service('front').entry}/to/bank/stream`, {
    headers: { Authorization: `Bearer ${bob.accessToken}` },
  });
  const reader = answer.body!.getReader();
  await reader.read();
  const { code } = await runCli('contain', '--consent', bob.consentId, '--dir', running.dir.path);
  expect(code).toBe(0);
  const broken = (async () => {
    for (;;) if ((await reader.read()).done) return 'ended cleanly';
  })();
  await expect(broken).rejects.toThrow();
  expect((await out('bank', 'late', {}, bob.accessToken)).code).toBe('consent_withdrawn');
  expect((await out('bank', 'others go on')).status).toBe(200);
});

test('no call to the outside is missing its other side: it has none', async () => {
  const { findings } = await running.query.listFindings({ openOnly: true });
  expect(findings).toEqual([]);
  expect((await running.query.summary({})).oneSided).toBe(0);
  const codes = (await running.hops()).flatMap(({ event }) => (event.body === 'hop' ? [event.hop.code] : []));
  // What the servers outside say in `delegation-error` is no refusal of anyone's.
  expect(codes).not.toContain('delegation_revoked');
});
