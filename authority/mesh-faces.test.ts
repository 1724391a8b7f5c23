import { request as httpsRequest } from 'node:https';
import { decodeJwt } from 'jose';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseRoot } from '../delegation/root/index.ts';
import { partId, systemClock } from '../identity/index.ts';
import {
  connectService,
  createGrpcServer,
  type GrpcServer,
  meshClientTlsOptions,
  type ServiceClient,
} from '../identity/mtls/index.ts';
import type { TestIdentity } from '../identity/testing/issuer.ts';
import { buildSnapshot } from '../policy/index.ts';
import {
  type Consents,
  consents,
  type ExchangeResponse,
  type TokenExchange,
  tokenExchange,
} from '../proto/behalf/authority/v1/authority.ts';
import { serveConsents } from './consent/serve-consents.ts';
import { ACCESS_TOKEN_TYPE, TXN_TOKEN_TYPE } from './exchange/exchange.ts';
import { serveExchange } from './exchange/serve-exchange.ts';
import { obtainTokens } from './headless/index.ts';
import { type MeshHttpPort, openMeshHttpPort } from './http/listeners.ts';
import {
  consentOrder,
  ORDERS,
  type RunningAuthority,
  runAuthority,
  STOREFRONT,
  TRUST_DOMAIN,
} from './testing/running-authority.ts';

const log = pino({ level: 'silent' });
const ME = partId(TRUST_DOMAIN, 'authority');
const OPERATOR = 'spiffe://shop.example/behalf/operator/ada';

let running: RunningAuthority;
let grpc: GrpcServer;
let mesh: MeshHttpPort;
let address: string;
const clients: { close(): void }[] = [];

beforeEach(async () => {
  running = await runAuthority({ peerOf: (request) => mesh.peerOf(request) });
  const identity = await running.ca.issue(ME);
  grpc = createGrpcServer({ identity, log });
  grpc.add(tokenExchange, serveExchange(running.authority, log));
  grpc.add(consents, serveConsents({ ...running.authority, trustDomain: TRUST_DOMAIN }));
  address = `127.0.0.1:${await grpc.listen({ host: '127.0.0.1', port: 0 })}`;
  mesh = await openMeshHttpPort('127.0.0.1:0', { identity, clock: systemClock, log });
  mesh.answerWith(running.authority.handleHttp);
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await grpc.close();
  await mesh.close();
  await running.close();
});

const tokens = () => obtainTokens(consentOrder(running.issuer, { purpose: '', durationS: 600 }));

function exchangeClient(identity: TestIdentity): ServiceClient<TokenExchange> {
  const client = connectService(tokenExchange, { address, identity, expect: ME, log });
  clients.push(client);
  return client;
}

function consentClient(identity: TestIdentity): ServiceClient<Consents> {
  const client = connectService(consents, { address, identity, expect: ME, log });
  clients.push(client);
  return client;
}

/** Sends all requests at once and gives the answers by id. */
async function exchangeAll(
  identity: TestIdentity,
  requests: readonly { id: number; subjectToken: string; scope: string }[],
): Promise<Map<number, ExchangeResponse>> {
  const stream = exchangeClient(identity).exchange();
  const answers = new Map<number, ExchangeResponse>();
  for (const request of requests) stream.write({ ...request, subjectTokenType: ACCESS_TOKEN_TYPE });
  stream.end();
  for await (const answer of stream as AsyncIterable<ExchangeResponse>) answers.set(answer.id, answer);
  return answers;
}

test('many exchanges go over one stream, each answered under its id, refusals too', async () => {
  const { accessToken } = await tokens();
  const good = Array.from({ length: 100 }, (_, index) => ({
    id: index + 1,
    subjectToken: accessToken,
    scope: 'orders:read',
  }));
  const answers = await exchangeAll(await running.ca.issue(STOREFRONT), [
    ...good,
    { id: 101, subjectToken: 'nonsense', scope: '' },
  ]);
  expect(answers.size).toBe(101);
  expect(parseRoot(answers.get(7)?.issued?.txnToken ?? '').claims).toMatchObject({
    scope: 'orders:read',
    req_wl: STOREFRONT,
  });
  expect(answers.get(101)?.refusal).toMatchObject({ code: 'entry_token_invalid', oauthError: 'invalid_grant' });
});

test('the stream of a workload that is no entry is answered with refusals', async () => {
  const { accessToken } = await tokens();
  const answers = await exchangeAll(await running.ca.issue(ORDERS), [{ id: 1, subjectToken: accessToken, scope: '' }]);
  expect(answers.get(1)?.refusal).toMatchObject({ code: 'policy_denied', oauthError: 'unauthorized_client' });
});

test('an operator lists, reads and revokes consents; nobody else does', async () => {
  const { consentId } = await tokens();
  const operator = consentClient(await running.ca.issue(OPERATOR));
  const { consents: listed } = await operator.listConsents({ account: 'demo' });
  expect(listed).toMatchObject([
    { id: consentId, account: 'demo', state: 'active', subject: expect.stringMatching(/^u:/) },
  ]);
  expect((await operator.lookUpSubject({ account: 'demo' })).subject).toBe(listed[0]?.subject);
  const revoked = await operator.revokeConsent({ id: consentId, reason: 'the phone was lost' });
  expect(revoked).toMatchObject({ number: 1, consent: { state: 'withdrawn' } });
  const { changes } = await operator.consentHistory({ id: consentId });
  expect(changes.map(({ change, by, reason }) => [change, by, reason])).toEqual([
    ['granted', 'user', ''],
    ['withdrawn', OPERATOR, 'the phone was lost'],
  ]);
  await expect(operator.revokeConsent({ id: 'c:none', reason: '' })).rejects.toMatchObject({ code: 'not_found' });
  const other = consentClient(await running.ca.issue(STOREFRONT));
  await expect(other.listConsents({ account: '' })).rejects.toMatchObject({ code: 'policy_denied' });
});

async function postMeshToken(
  identity: TestIdentity | null,
  fields: Record<string, string>,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const body = new URLSearchParams(fields).toString();
  return await new Promise((resolve, reject) => {
    const tls = identity === null ? { rejectUnauthorized: false } : meshClientTlsOptions(identity);
    const request = httpsRequest(
      {
        ...tls,
        host: '127.0.0.1',
        port: mesh.port,
        path: '/token',
        method: 'POST',
        agent: false,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      },
      async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk as Buffer);
        resolve({
          status: response.statusCode ?? 0,
          body: JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>,
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

const grant = (clientId: string, subjectToken: string) => ({
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  client_id: clientId,
  subject_token: subjectToken,
  subject_token_type: ACCESS_TOKEN_TYPE,
  scope: 'orders:read',
});

test('a workload exchanges over HTTP with its SVID, by the same function', async () => {
  const { accessToken } = await tokens();
  const { status, body } = await postMeshToken(await running.ca.issue(STOREFRONT), grant(STOREFRONT, accessToken));
  expect({ status, ...body }).toMatchObject({
    status: 200,
    issued_token_type: TXN_TOKEN_TYPE,
    token_type: 'N_A',
    scope: 'orders:read',
  });
  expect(parseRoot(String(body['access_token'])).claims.req_wl).toBe(STOREFRONT);
});

test('nobody exchanges over HTTP as another workload, without an SVID, or on the port for browsers', async () => {
  const { accessToken } = await tokens();
  const asAnother = await postMeshToken(await running.ca.issue(ORDERS), grant(STOREFRONT, accessToken));
  expect(asAnother.body['error']).toBe('invalid_client');
  const notAnEntry = await postMeshToken(await running.ca.issue(ORDERS), grant(ORDERS, accessToken));
  expect(notAnEntry.body).toMatchObject({ error: 'unauthorized_client', error_description: 'policy_denied' });
  await expect(postMeshToken(null, grant(STOREFRONT, accessToken))).rejects.toThrow();
  const open = await fetch(new URL('/token', running.issuer), {
    method: 'POST',
    body: new URLSearchParams(grant(STOREFRONT, accessToken)),
  });
  expect(((await open.json()) as Record<string, unknown>)['error']).toBe('invalid_client');
  const asApp = await fetch(new URL('/token', running.issuer), {
    method: 'POST',
    body: new URLSearchParams(grant('shop-app', accessToken)),
  });
  expect(asApp.status).toBe(400);
});

test('over HTTP and over the stream, who holds a delegation gets a token for an audience outside, and nothing else of it', async () => {
  const audience = 'https://api.bank.example';
  running.setSnapshot(
    buildSnapshot({
      files: {
        'mesh.yaml': `
trustDomain: ${TRUST_DOMAIN}
scopes: { "orders:read": { title: Read, description: Read } }
services: { storefront: { owner: o, reason: r, routes: [] } }
workloads: { storefront: { owner: o, reason: r, entry: { ceiling: ["orders:read"] } } }
edges: []
exits:
  bank: { owner: o, reason: r, origin: "${audience}", from: [storefront], token: { audience: "${audience}", scopes: { "orders:read": see } } }
`,
        'p.cedar': '@id("out") permit (principal, action == Behalf::Action::"exit", resource);',
      },
      number: 1,
      issuedAtS: Date.now() / 1000,
    }),
  );
  const { accessToken } = await tokens();
  const storefront = await running.ca.issue(STOREFRONT);
  const root = await postMeshToken(storefront, grant(STOREFRONT, accessToken));
  const held = {
    ...grant(STOREFRONT, String(root.body['access_token'])),
    subject_token_type: TXN_TOKEN_TYPE,
    requested_token_type: ACCESS_TOKEN_TYPE,
  };
  const { status, body } = await postMeshToken(storefront, { ...held, audience });
  expect({ status, ...body }).toMatchObject({
    status: 200,
    issued_token_type: ACCESS_TOKEN_TYPE,
    token_type: 'Bearer',
    scope: 'see',
  });
  expect(decodeJwt(String(body['access_token']))).toMatchObject({ aud: audience, scope: 'see' });
  const elsewhere = await postMeshToken(storefront, { ...held, audience: 'https://evil.example' });
  expect(elsewhere.body).toMatchObject({ error: 'unauthorized_client', error_description: 'policy_denied' });

  const stream = exchangeClient(storefront).exchange();
  stream.end({
    id: 1,
    subjectToken: held.subject_token,
    subjectTokenType: TXN_TOKEN_TYPE,
    audience,
    scope: 'orders:read',
  });
  const [answer] = await Array.fromAsync(stream as AsyncIterable<ExchangeResponse>);
  expect(answer?.issued).toMatchObject({ txnToken: '', scope: 'see' });
  expect(decodeJwt(answer?.issued?.accessToken ?? '')).toMatchObject({ aud: audience, jti: answer?.issued?.jti });
});
