import { createHash } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { parseSpiffeId } from '../../identity/index.ts';
import { buildSnapshot, type CompiledSnapshot, compileSnapshot } from '../../policy/index.ts';
import { SHOP_SOURCE } from '../../policy/testing/shop.ts';
import type { EventBody } from '../../proto/behalf/audit/v1/audit.ts';
import { type ContextTable, createContextTable } from '../call/context/context.ts';
import type { InboundContext } from '../call/context/inbound-context.ts';
import { createDetailShares } from '../call/outbound/detail-shares.ts';
import { createRefusedConnections } from '../report/refused-connections.ts';
import { type LocalApi, type LocalApiOptions, startLocalApi } from './start-local-api.ts';

const PAYMENTS = parseSpiffeId('spiffe://shop.example/payments');
const ORDERS = parseSpiffeId('spiffe://shop.example/orders');
const STOREFRONT = parseSpiffeId('spiffe://shop.example/storefront');
const NOW_S = SHOP_SOURCE.issuedAtS;
const SNAPSHOT = compileSnapshot(buildSnapshot(SHOP_SOURCE));

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Started {
  readonly api: LocalApi;
  readonly contexts: ContextTable;
  readonly handle: string;
  readonly events: EventBody[];
  readonly logged: string[];
}

/** The API in front of a real table and a real policy; what is recorded and logged is kept for looking at. */
async function start(
  options: Partial<Omit<LocalApiOptions, 'state'>> & { snapshot?: CompiledSnapshot | null; stale?: boolean } = {},
): Promise<Started> {
  const { snapshot = SNAPSHOT, stale = false, ...rest } = options;
  const events: EventBody[] = [];
  const logged: string[] = [];
  const contexts = createContextTable({ now: () => NOW_S });
  const reporter = {
    record: async (event: EventBody) => {
      events.push(event);
    },
  };
  const api = await startLocalApi({
    listen: '127.0.0.1:0',
    contexts,
    state: {
      snapshot: () => snapshot,
      checkFresh: () => {
        if (stale) throw new BehalfError('revocation_stale', { source: 'authority' });
      },
    },
    service: PAYMENTS,
    deferredWork: { client: null, state: { snapshot: () => snapshot }, shares: createDetailShares() },
    reporter,
    onRefused: createRefusedConnections({ reporter }).record,
    allowedUid: null,
    log: pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) }),
    signal: new AbortController().signal,
    nowS: () => NOW_S,
    ...rest,
  });
  closing.push(() => api.close(), contexts.close);
  return { api, contexts, events, logged, handle: contexts.open(inbound()) };
}

function inbound(): InboundContext {
  const delegation = {
    sub: 'u:alice',
    clientId: 'shop-web',
    consent: { id: 'c-1', version: 2 },
    grant: 'g-1',
    purpose: 'shopping',
    scope: ['payments:charge'],
    authorizationDetails: null,
    actors: [STOREFRONT, ORDERS],
    depth: 2,
    txn: 'AAAAAAAAAAAAAAAAAAAAAA',
    expS: NOW_S + 60,
  };
  return {
    delegation: delegation as unknown as InboundContext['delegation'],
    peer: ORDERS,
    hopId: Buffer.alloc(12, 1),
    requestId: Buffer.alloc(12, 2),
    traceId: null,
    traceLink: null,
  };
}

interface Answered {
  readonly status: number;
  readonly type: string | undefined;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
}

function ask(
  address: string,
  method: string,
  path: string,
  headers: http.OutgoingHttpHeaders | string[],
  body?: string,
  agent: http.Agent | false = false,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = http.request(`http://${address}${path}`, { method, headers, agent }, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      const { statusCode = 0, headers: got } = response;
      resolve({ status: statusCode, type: got['content-type'], headers: got, body: JSON.parse(text) });
    });
    request.on('error', reject);
    request.end(body);
  });
}

const order = (owner: string) => ({ type: 'Order', id: 'o-1', properties: { owner, amount: 1250 } });

function evaluate({ api, handle }: Started, body: unknown, headers: http.OutgoingHttpHeaders = {}): Promise<Answered> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return ask(
    api.address,
    'POST',
    '/access/v1/evaluation',
    { 'delegation-context': handle, 'content-type': 'application/json', ...headers },
    text,
  );
}

test('GET /delegation says on whose behalf a request comes, and holds no token', async () => {
  const { api, handle } = await start();
  const { status, type, headers, body } = await ask(api.address, 'GET', '/delegation', {
    'Delegation-Context': handle,
  });
  expect({ status, type, cache: headers['cache-control'] }).toEqual({
    status: 200,
    type: 'application/json',
    cache: 'no-store',
  });
  expect(body).toEqual({
    subject: 'u:alice',
    client: 'shop-web',
    scopes: ['payments:charge'],
    authorization_details: null,
    purpose: 'shopping',
    consent: { id: 'c-1', version: 2 },
    actors: [STOREFRONT, ORDERS],
    depth: 2,
    txn: 'AAAAAAAAAAAAAAAAAAAAAA',
    hop: Buffer.alloc(12, 1).toString('base64url'),
    request: Buffer.alloc(12, 2).toString('base64url'),
    exp: NOW_S + 60,
  });
});

test('the user may act on their own order, and it is on record before the answer', async () => {
  const started = await start();
  const { status, body } = await evaluate(started, { action: { name: 'refund' }, resource: order('u:alice') });
  expect({ status, body }).toEqual({ status: 200, body: { decision: true } });
  expect(started.events).toHaveLength(1);
  const [event] = started.events;
  if (event?.body !== 'evaluation' || event.evaluation.personal === null) return expect.unreachable();
  const { personal, resourceHash, ...rest } = event.evaluation;
  expect(rest).toEqual({
    hopId: Buffer.alloc(12, 1),
    requestId: Buffer.alloc(12, 2),
    service: PAYMENTS,
    action: 'refund',
    resourceType: 'Order',
    allow: true,
    code: '',
    policies: ['own#2'],
    snapshotNumber: 1,
  });
  expect(personal).toMatchObject({ subject: 'u:alice', clientId: 'shop-web', consentId: 'c-1', consentVersion: 2 });
  expect(resourceHash).toEqual(createHash('sha256').update(personal.salt).update('Order\0o-1').digest());
});

test('another user’s order is a no with its code, in an answer of 200, and on record', async () => {
  const started = await start();
  const { status, body } = await evaluate(started, { action: { name: 'refund' }, resource: order('u:bob') });
  expect(status).toBe(200);
  expect(body).toMatchObject({
    decision: false,
    context: { code: 'policy_denied', reason: expect.stringContaining('policy_denied') },
  });
  expect(started.events).toMatchObject([{ evaluation: { allow: false, code: 'policy_denied' } }]);
});

test('a subject may be named if it is the delegation’s own; another is request_malformed', async () => {
  const started = await start();
  const asked = { action: { name: 'refund' }, resource: order('u:alice') };
  const own = await evaluate(started, { ...asked, subject: { type: 'user', id: 'u:alice' } });
  expect(own.body).toEqual({ decision: true });
  for (const subject of [{ type: 'user', id: 'u:bob' }, { type: 'user' }, { id: 'u:alice' }, 'u:alice', null]) {
    expect(await evaluate(started, { ...asked, subject })).toMatchObject({
      status: 400,
      type: 'application/problem+json',
      body: { code: 'request_malformed', hop: Buffer.alloc(12, 1).toString('base64url') },
    });
  }
  expect(started.events).toHaveLength(1);
});

test('bodies that are no evaluation are request_malformed, and nothing is recorded', async () => {
  const started = await start();
  const action = { name: 'refund' };
  const bad = [
    '',
    'null',
    '[]',
    '{"action":{"name":"refund"}',
    '{"action":{"name":"a"},"action":{"name":"refund"},"resource":{"type":"Order","id":"o"}}',
    { resource: order('u:alice') },
    { action },
    { action: 'refund', resource: order('u:alice') },
    { action: { name: 'call' }, resource: order('u:alice') },
    { action, resource: { type: 'Order' } },
    { action, resource: { type: '', id: 'o' } },
    { action, resource: { type: 'Order', id: 7 } },
    { action, resource: { type: 'Order', id: 'o', properties: { owner: 'u:alice', amount: 1.5 } } },
    { action, resource: { type: 'Order', id: 'o', properties: { owner: { __entity: { type: 'x', id: 'y' } } } } },
  ];
  for (const body of bad) {
    expect(await evaluate(started, body), JSON.stringify(body)).toMatchObject({
      status: 400,
      body: { code: 'request_malformed' },
    });
  }
  expect(
    await evaluate(started, { action, resource: order('u:alice') }, { 'content-type': 'text/plain' }),
  ).toMatchObject({ status: 400 });
  expect(started.events).toEqual([]);
});

test('a body over 64 KiB is refused, with and without a length', async () => {
  const started = await start();
  const body = JSON.stringify({ action: { name: 'refund' }, resource: order('x'.repeat(65_536)) });
  expect(await evaluate(started, body)).toMatchObject({ status: 400, body: { code: 'request_malformed' } });
  expect(await evaluate(started, body, { 'transfer-encoding': 'chunked' })).toMatchObject({ status: 400 });
});

test('without a context there is no delegation, and a bad one never falls through', async () => {
  const { api, contexts, handle } = await start();
  const codeOf = async (headers: http.OutgoingHttpHeaders | string[]) =>
    (await ask(api.address, 'GET', '/delegation', headers)).body['code'];
  expect(await codeOf({})).toBe('delegation_missing');
  expect(await codeOf({ 'delegation-context': 'A'.repeat(22) })).toBe('context_unknown');
  expect(await codeOf(['Host', 'x', 'Delegation-Context', handle, 'Delegation-Context', handle])).toBe(
    'context_ambiguous',
  );
  contexts.revoke(() => 'consent_withdrawn');
  expect(await codeOf({ 'delegation-context': handle })).toBe('consent_withdrawn');
});

test('stale state and no policy are refused, not decided', async () => {
  const asked = { action: { name: 'refund' }, resource: order('u:alice') };
  expect(await evaluate(await start({ stale: true }), asked)).toMatchObject({
    status: 503,
    body: { code: 'revocation_stale' },
  });
  const none = await start({ snapshot: null });
  expect(await evaluate(none, asked)).toMatchObject({ status: 503, body: { code: 'snapshot_stale' } });
  expect(none.events).toMatchObject([{ evaluation: { allow: false, code: 'snapshot_stale' } }]);
});

test('no record, no yes: audit_unavailable', async () => {
  const record = () => Promise.reject(new BehalfError('audit_unavailable'));
  const started = await start({ reporter: { record } });
  const { status, body } = await evaluate(started, { action: { name: 'refund' }, resource: order('u:alice') });
  expect({ status, code: body['code'], decision: body['decision'] }).toEqual({
    status: 503,
    code: 'audit_unavailable',
    decision: undefined,
  });
});

test('a process of another uid gets nothing, and is on record once a connection', async () => {
  const uid = (process.getuid?.() ?? 0) + 1;
  const { api, handle, events } = await start({ allowedUid: uid });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  closing.push(() => agent.destroy());
  for (let i = 0; i < 2; i += 1) {
    const headers = { 'delegation-context': handle };
    const { status, body } = await ask(api.address, 'GET', '/delegation', headers, undefined, agent);
    expect({ status, code: body['code'] }).toEqual({ status: 403, code: 'local_peer_refused' });
  }
  expect(events).toMatchObject([
    { body: 'connectionRefused', connectionRefused: { code: 'local_peer_refused', rule: 'uid', listener: 'local' } },
  ]);
});

test('a process of the app’s own uid is answered', async () => {
  const { api, handle } = await start({ allowedUid: process.getuid?.() ?? 0 });
  expect(await ask(api.address, 'GET', '/delegation', { 'delegation-context': handle })).toMatchObject({ status: 200 });
});

test('the AuthZEN metadata names the endpoint, the request id comes back, and nothing else is there', async () => {
  const started = await start();
  const { api } = started;
  const metadata = await ask(api.address, 'GET', '/.well-known/authzen-configuration', {});
  expect(metadata.body['access_evaluation_endpoint']).toBe(`http://${api.address}/access/v1/evaluation`);
  const asked = { action: { name: 'refund' }, resource: order('u:alice') };
  expect((await evaluate(started, asked, { 'x-request-id': 'r-7' })).headers['x-request-id']).toBe('r-7');
  for (const [method, path] of [
    ['POST', '/delegation'],
    ['GET', '/access/v1/evaluation'],
    ['GET', '/'],
    ['GET', '/delegation/'],
  ] as const) {
    expect(await ask(api.address, method, path, {}), path).toMatchObject({ status: 404, body: { code: 'not_found' } });
  }
});

test('a taken port is port_in_use, and an aborted signal frees it', async () => {
  const abort = new AbortController();
  const { api } = await start({ signal: abort.signal });
  await expect(start({ listen: api.address })).rejects.toMatchObject({ code: 'port_in_use' });
  abort.abort();
  const [host, port] = api.address.split(':');
  await expect
    .poll(
      () =>
        new Promise((resolve) => {
          const socket = net.connect(Number(port), host, () => resolve('open'));
          socket.on('error', () => resolve('closed')).on('connect', () => socket.destroy());
        }),
    )
    .toBe('closed');
});

test('no handle and no subject reaches the log', async () => {
  const started = await start();
  await evaluate(started, { action: { name: 'refund' }, resource: order('u:bob') });
  await evaluate(started, 'broken');
  await ask(started.api.address, 'GET', '/delegation', { 'delegation-context': started.handle.slice(1) });
  const log = started.logged.join('');
  expect(log).toContain('uid guard is off');
  for (const secret of [started.handle.slice(1), 'u:alice', 'o-1']) expect(log).not.toContain(secret);
});

const defer = ({ api, handle }: Started, body: string) =>
  ask(
    api.address,
    'POST',
    '/delegations/deferred',
    { 'delegation-context': handle, 'content-type': 'application/json' },
    body,
  );

test('a wish for deferred work that is not understood is refused, and nothing is put off without an authority', async () => {
  const started = await start();
  const bad = [
    '',
    '[]',
    '{"uses":0}',
    '{"uses":"2"}',
    '{"maxS":1.5}',
    '{"scope":["a"]}',
    '{"later":1}',
    '{"authorizationDetails":{}}',
  ];
  for (const body of bad) {
    expect(await defer(started, body), body).toMatchObject({ status: 400, body: { code: 'request_malformed' } });
  }
  expect(await defer(started, '{}')).toMatchObject({ status: 503, body: { code: 'upstream_unavailable' } });
  expect(
    await ask(started.api.address, 'POST', '/delegations/deferred', { 'content-type': 'application/json' }, '{}'),
  ).toMatchObject({ status: 403, body: { code: 'delegation_missing' } });
  expect(await ask(started.api.address, 'DELETE', '/delegations/deferred/x', {})).toMatchObject({ status: 404 });
});

test('work is put off by Delegation-Context alone: taken up later, no edge asks how the app named its request', async () => {
  const { api, handle } = await start();
  const headers = { baggage: `dlg=${handle}`, 'content-type': 'application/json' };
  expect(await ask(api.address, 'GET', '/delegation', headers)).toMatchObject({ status: 200 });
  expect(await ask(api.address, 'POST', '/delegations/deferred', headers, '{}')).toMatchObject({
    status: 403,
    body: { code: 'context_too_weak' },
  });
});
