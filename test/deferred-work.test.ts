/**
 * Work that outlives its request, over a mesh of real processes: a user's request comes in at `front`, `worker` puts it off and answers;
 * later, when nobody's request runs any more, `worker` takes it up and calls `back` in the user's name. And each way in which it must not.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { obtainTokens } from '../authority/headless/index.ts';
import type { MeshPlan } from '../cli/mesh/plan.ts';
import type { StateDir } from '../cli/mesh/state-dir.ts';
import type { DeferredChanged } from '../proto/behalf/audit/v1/audit.ts';
import { type CliRun, runCli } from './mesh/run-cli.ts';
import { eventually, type RunningMesh, runMesh } from './mesh/running-mesh.ts';
import { CLIENT, SCOPES, twoServices, workload } from './mesh/two-services.ts';

const ACCOUNTS = { ada: 'correct horse', bob: 'battery staple', cyd: 'some other words' };
type Account = keyof typeof ACCOUNTS;
const QUEUE = fileURLToPath(new URL('mesh/services/queue.ts', import.meta.url));

let running: RunningMesh;
/** Where the apps listen, for the test in the place of the queue. */
const apps: Record<string, string> = {};

function plan(dir: StateDir): MeshPlan {
  const base = twoServices(dir, { accounts: ACCOUNTS });
  const authority = base.authority as { clients: object[] };
  const back = base.services.find(({ name }) => name === 'back');
  const queue = (name: string, next: string, entry: boolean): MeshPlan['services'][number] => ({
    name,
    id: workload(name),
    protocol: 'http1',
    calls: entry ? [next] : [next, 'front'],
    ...(entry ? {} : { exits: ['outside'] }),
    ...(entry ? { entry: { refusals: 'code' } } : {}),
    program: ({ listen, localApi, peers, exits }) => {
      apps[name] = `http://${listen}`;
      const port = listen.slice(listen.lastIndexOf(':') + 1);
      return {
        command: process.execPath,
        args: [QUEUE],
        environment: {
          PORT: port,
          NEXT_URL: peers[next] ?? '',
          DELEGATION_API: localApi,
          OUTSIDE_URL: exits['outside'] ?? '',
          OTHER_URL: peers['front'] ?? '',
          ROLE: name,
        },
      };
    },
  });
  const mesh = base.policy['mesh.yaml'] as string;
  return {
    ...base,
    policy: {
      ...base.policy,
      'mesh.yaml': `${mesh}
exits:
  outside: { owner: team-test, reason: tests, from: [worker], origin: "http://127.0.0.1:${outsidePort}", plain: true, privateAddresses: true, routes: [{ method: GET, path: /paper, scopes: ["notes:read"] }] }
`
        .replace(
          'workloads:\n',
          `  worker:
    owner: team-test
    reason: works later
    routes: [{ method: POST, path: /jobs, scopes: ["notes:read"] }]
workloads:
  worker: { owner: team-test, reason: works later, deferrable: true }
`,
        )
        .replace(
          'front: { owner: team-test, reason: entry, ',
          'front: { owner: team-test, reason: entry, deferrable: true, ',
        )
        .replace(
          '- { method: "*", path: "/admin/',
          '- { method: GET, path: /fresh, scopes: ["notes:read"], fresh: true }\n      - { method: "*", path: "/admin/',
        )
        .replace('- { from: front, to: back }', '- { from: front, to: worker }\n  - { from: worker, to: back }'),
    },
    authority: { ...authority, clients: [{ ...authority.clients[0], deferrable: { maxS: 3_600, uses: 5 } }] },
    services: [queue('front', 'worker', true), queue('worker', 'back', false), back!],
  };
}

let outsidePort = 0;
const seenOutside: string[][] = [];
const outside = createServer((request, response) => {
  seenOutside.push(request.rawHeaders);
  response.setHeader('content-type', 'application/json').end('{"paper":true}');
});

beforeAll(async () => {
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
  outsidePort = (outside.address() as AddressInfo).port;
  running = await runMesh(plan);
}, 120_000);
afterAll(async () => {
  await running?.stop();
  outside.closeAllConnections();
  await new Promise((resolve) => outside.close(resolve));
});

interface Answered {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function answered(response: Response): Promise<Answered> {
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const signIn = (account: Account, deferrable = true) =>
  obtainTokens({
    issuer: running.mesh.file.authority!.issuer,
    clientId: CLIENT.id,
    redirectUri: CLIENT.redirectUri,
    account,
    password: ACCOUNTS[account],
    scopes: [...SCOPES],
    purpose: `test ${account}`,
    durationS: 3600,
    deferrable,
  });

async function putOff(token: string, wish: object = {}): Promise<Answered> {
  const response = await fetch(`${running.service('front').entry}/jobs`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(wish),
  });
  return answered(response);
}

/** As the queue would: no request of a user runs. */
const run = async (reference: unknown, at = 'worker', path = 'run'): Promise<Answered> =>
  answered(await fetch(`${apps[at]}/${path}?reference=${reference}`));
const codeOf = async (call: Promise<Answered>): Promise<unknown> => {
  const { status, body } = await call;
  return status === 200 || status === 201 ? 'ok' : body['code'];
};
const told = async (id: unknown): Promise<DeferredChanged[]> =>
  (await running.events('deferred')).flatMap(({ event }) =>
    event.body === 'deferred' && event.deferred.id === id ? [event.deferred] : [],
  );
const cli = (...args: string[]): Promise<CliRun> => runCli('deferred', ...args, '--json', '--dir', running.dir.path);

test('a worker finishes a user’s work when the request is long answered, and the record joins both', async () => {
  const { accessToken } = await signIn('ada');
  const { status, body } = await putOff(accessToken, { purpose: 'send the digest', uses: 2, maxS: 600 });
  expect({ status, body }).toMatchObject({
    status: 201,
    body: { reference: expect.stringMatching(/^[\w-]{43}$/), id: expect.stringMatching(/^d:/), uses: 2 },
  });
  const later = await run(body['reference']);
  expect(later.status).toBe(200);
  expect(later.body).toMatchObject({ subject: expect.stringMatching(/^u:/), actors: workload('worker') });
  // One root is one use, for as long as it lives.
  expect((await run(body['reference'])).status).toBe(200);
  expect(later.body['headers']).not.toContain('delegation-deferred');

  const events = await eventually(async () => {
    const found = await told(body['id']);
    return found.length >= 2 ? found : null;
  });
  const [deferred, resumed] = events;
  expect(events.map(({ change }) => change)).toEqual(['deferred', 'resumed']);
  expect(deferred).toMatchObject({
    work: 'send the digest',
    actors: [workload('front'), workload('worker')],
    usesLeft: 2,
  });
  const hops = await eventually(async () => {
    const found = (await running.hops()).filter(
      ({ event }) => event.body === 'hop' && event.hop.txn === resumed?.newTxn,
    );
    return found.length >= 4 ? found : null;
  });
  // The chain that goes on: depth after the two hops before.
  for (const { event } of hops)
    if (event.body === 'hop') expect([event.hop.outcome, event.hop.depth]).toEqual(['OUTCOME_FORWARDED', 2]);
  expect(hops.some(({ event }) => event.body === 'hop' && event.hop.carrier === 'deferred')).toBe(true);
  expect((await running.hops()).some(({ event }) => event.body === 'hop' && event.hop.txn === resumed?.txn)).toBe(true);

  // One story, from either end of it.
  const hopOf = (txn: string | undefined, callee: string): string => {
    const found = all.find(({ event }) => event.body === 'hop' && event.hop.txn === txn && event.hop.callee === callee);
    return found?.event.body === 'hop' ? found.event.hop.hopId.toString('base64url') : '';
  };
  const all = await running.hops();
  const [later2, earlier] = [hopOf(resumed?.newTxn, workload('back')), hopOf(resumed?.txn, workload('worker'))];
  for (const [command, hop] of [
    ['explain', later2],
    ['explain', earlier],
  ] as const) {
    const { stdout } = await runCli(command, hop, '--dir', running.dir.path);
    expect(stdout).toContain(`one story with work that was put off, ${body['id']}, “send the digest”`);
    expect(stdout).toMatch(/front called worker, POST \/jobs/);
    expect(stdout).toMatch(/worker took it up, as transaction/);
  }
  const shown = await runCli('chain', 'show', later2, '--dir', running.dir.path);
  expect(shown.stdout).toContain(
    `It goes on with work that worker put off (${body['id']}), from depth 1 of transaction`,
  );
  expect(shown.stdout).toContain('All signatures and rules hold');
  const { answer } = await runCli('chain', 'show', later2, '--json', '--dir', running.dir.path);
  expect(answer).toMatchObject({
    delegation: { deferred: { ref: body['id'], depth: 1 } },
    putOff: [{ complete: true, changes: [{ change: 'deferred', id: body['id'] }, { change: 'resumed' }] }],
  });
});

test('a use is a root, and each route that wants a fresh one takes another: then it is exhausted', async () => {
  const { accessToken } = await signIn('ada');
  const { body } = await putOff(accessToken, { uses: 3 });
  const outcomes = [];
  for (let i = 0; i < 4; i++) outcomes.push(await codeOf(run(body['reference'], 'worker', 'fresh')));
  expect(outcomes).toEqual(['ok', 'ok', 'ok', 'deferred_exhausted']);
  const { answer } = await cli('list', '--ended');
  const list = (answer as { deferred: { id: string; state: string; usesLeft: number }[] }).deferred;
  expect(list.find(({ id }) => id === body['id'])).toMatchObject({ state: 'used', usesLeft: 0 });
});

test('of many at once on the last use one gets it', async () => {
  const { accessToken } = await signIn('ada');
  const { body } = await putOff(accessToken);
  const outcomes = await Promise.all(
    Array.from({ length: 8 }, () => codeOf(run(body['reference'], 'worker', 'fresh'))),
  );
  expect(outcomes.toSorted()).toEqual([...Array(7).fill('deferred_exhausted'), 'ok']);
});

test('its time ends it', async () => {
  const { accessToken } = await signIn('ada');
  const { body } = await putOff(accessToken, { maxS: 1 });
  await eventually(async () => (Date.now() / 1_000 > Number(body['expires']) + 1 ? true : null));
  expect(await codeOf(run(body['reference']))).toBe('deferred_expired');
});

test('what is no such reference, stolen, or beside another carrier is refused by its code', async () => {
  const { accessToken } = await signIn('ada');
  const { body } = await putOff(accessToken);
  expect(await codeOf(run('A'.repeat(43)))).toBe('deferred_unknown');
  expect(await codeOf(run('%7B'))).toBe('deferred_unknown');
  expect(await codeOf(run(body['reference'], 'worker', 'both'))).toBe('context_ambiguous');
  expect(await codeOf(run(body['reference'], 'front'))).toBe('deferred_unknown');
  expect(
    await eventually(async () => (await told(body['id'])).find(({ change }) => change === 'refused') ?? null),
  ).toMatchObject({ caller: workload('front'), code: 'deferred_unknown' });
  expect(await codeOf(run(body['reference']))).toBe('ok');
});

test('at an entry the reference of the entry workload is a credential, and no other is', async () => {
  const { accessToken } = await signIn('ada');
  const entry = running.service('front').entry;
  const own = await answered(await fetch(`${entry}/own-jobs`, { headers: { Authorization: `Bearer ${accessToken}` } }));
  expect(own.status).toBe(201);
  const enter = async (headers: Record<string, string>) => answered(await fetch(`${entry}/whose`, { headers }));
  const { status, body } = await enter({ 'Delegation-Deferred': String(own.body['reference']) });
  expect({ status, body }).toMatchObject({ status: 200, body: { client: CLIENT.id, depth: 0 } });
  const { body: others } = await putOff(accessToken);
  expect(await codeOf(enter({ 'Delegation-Deferred': String(others['reference']) }))).toBe('deferred_unknown');
  const both = { Authorization: `Bearer ${accessToken}`, 'Delegation-Deferred': String(own.body['reference']) };
  expect(await codeOf(enter(both))).toBe('entry_ambiguous');
});

test('a call that could not be made anyway takes no use; one to the outside does, and the reference stays here', async () => {
  const { accessToken } = await signIn('ada');
  const { body } = await putOff(accessToken);
  expect(await codeOf(run(body['reference'], 'worker', 'nowhere'))).toBe('policy_denied');
  expect(await codeOf(run(body['reference'], 'worker', 'scope'))).toBe('request_malformed');
  expect((await told(body['id'])).some(({ change }) => change === 'resumed')).toBe(false);
  expect((await run(body['reference'], 'worker', 'outside')).body).toEqual({ paper: true });
  expect(seenOutside.flat().map((text) => text.toLowerCase())).not.toContain('delegation-deferred');
  expect(seenOutside.flat()).not.toContain(body['reference']);
  const { answer } = await cli('list', '--ended');
  const list = (answer as { deferred: { id: string; usesLeft: number }[] }).deferred;
  expect(list.find(({ id }) => id === body['id'])).toMatchObject({ usesLeft: 0 });
});

test('who did not agree to it, or not to so much, gets nothing put off', async () => {
  const { accessToken } = await signIn('bob', false);
  expect(await codeOf(putOff(accessToken))).toBe('not_deferrable');
  const more = await signIn('cyd');
  expect(await codeOf(putOff(more.accessToken, { uses: 6 }))).toBe('not_deferrable');
  expect(await codeOf(putOff(more.accessToken, { maxS: 3_601 }))).toBe('not_deferrable');
  expect(await codeOf(putOff(more.accessToken, { scope: 'notes:admin' }))).toBe('delegation_scope_widened');
  expect(await codeOf(putOff(more.accessToken, { until: 5 }))).toBe('request_malformed');
});

test('a withdrawn consent between ends it, and what runs on it', async () => {
  const { accessToken, consentId } = await signIn('cyd');
  const one = await putOff(accessToken, { uses: 2 });
  const other = await putOff(accessToken);
  const stream = await fetch(`${apps['worker']}/stream?reference=${one.body['reference']}`);
  const reader = stream.body!.getReader();
  await reader.read();
  await runCli('consent', 'revoke', consentId, '--json', '--dir', running.dir.path);
  await expect(
    (async () => {
      for (;;) if ((await reader.read()).done) return 'clean';
    })(),
  ).rejects.toThrow();
  for (const { body } of [one, other]) expect(await codeOf(run(body['reference']))).toBe('consent_withdrawn');
});

test('an operator sees and cancels it', async () => {
  const { accessToken } = await signIn('ada');
  const { body } = await putOff(accessToken, { purpose: 'cancel me' });
  const listed = (await cli('list')).answer as { deferred: { id: string; account: string; purpose: string }[] };
  expect(listed.deferred.find(({ id }) => id === body['id'])).toMatchObject({ account: 'ada', purpose: 'cancel me' });
  const cancelled = await cli('cancel', String(body['id']), '--reason', 'not wanted');
  expect(cancelled.answer).toMatchObject({ cancelled: { id: body['id'], state: 'cancelled' } });
  expect(await codeOf(run(body['reference']))).toBe('delegation_revoked');
  expect(
    await eventually(async () => (await told(body['id'])).find(({ change }) => change === 'cancelled') ?? null),
  ).toMatchObject({
    reason: 'not wanted',
  });
});

test('its own app sees it without the reference, and cancels it', async () => {
  const { accessToken } = await signIn('ada');
  const { body } = await putOff(accessToken, { purpose: 'mine' });
  const list = await answered(await fetch(`${apps['worker']}/list`));
  expect(list.body['deferred']).toContainEqual(
    expect.objectContaining({ id: body['id'], purpose: 'mine', usesLeft: 1 }),
  );
  expect(JSON.stringify(list.body)).not.toContain(body['reference']);
  expect((await answered(await fetch(`${apps['front']}/${body['id']}`))).body).toMatchObject({ code: 'not_found' });
  expect((await answered(await fetch(`${apps['worker']}/${body['id']}`))).body).toMatchObject({ state: 'cancelled' });
  expect(await codeOf(run(body['reference']))).toBe('delegation_revoked');
});

test('contain knows the kind: it ends it, and tells what it touched', async () => {
  const { accessToken } = await signIn('ada');
  const { body } = await putOff(accessToken, { uses: 2 });
  expect((await run(body['reference'])).status).toBe(200);
  const { answer } = await runCli('contain', '--deferred', String(body['id']), '--json', '--dir', running.dir.path);
  expect(answer).toMatchObject({ revoked: { kind: 'deferred' }, radius: { hops: 1 } });
  expect(await codeOf(run(body['reference']))).toBe('delegation_revoked');
});

test('an authority that was killed and comes back has it still', async () => {
  const { accessToken } = await signIn('ada');
  const { body } = await putOff(accessToken);
  running.mesh.children.get('authority')!.kill('SIGKILL');
  await running.mesh.children.restart('authority');
  await eventually(async () => ((await codeOf(run(body['reference']))) === 'ok' ? true : null));
});

test('a workload of the old chain that is contained ends it, though the worker’s own calls are clean', async () => {
  const { accessToken } = await signIn('ada');
  const { body } = await putOff(accessToken);
  const contained = await runCli('contain', '--workload', workload('front'), '--json', '--dir', running.dir.path);
  expect(contained.code).toBe(0);
  await eventually(async () => ((await codeOf(run(body['reference']))) === 'delegation_revoked' ? true : null));
});
