/**
 * What a revocation of each kind reaches at a sidecar: the call that runs, the handle that the app holds, the chain that is cached,
 * the slot on the connection, the chain on a new connection. Each was accepted a moment before, and a delegation beside it, of which the
 * revocation says nothing, still is after. No TLS session is resumed past it: `sidecar/revoked-peers.test.ts`.
 */
import { randomBytes } from 'node:crypto';
import http2 from 'node:http2';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mintLink, type OutgoingChain } from '../delegation/index.ts';
import type { TestIdentity } from '../identity/testing/issuer.ts';
import { ask, startHttp1App, type TestApp } from '../sidecar/testing/apps.ts';
import { eventually } from '../sidecar/testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from '../sidecar/testing/mesh.ts';
import { shopSnapshot } from '../sidecar/testing/shop.ts';
import type { LiveStateSource, Revocation } from '../state/index.ts';

/** One delegation in the hand of a peer, and all that a call of it has left at the callee. */
interface Held {
  readonly identity: TestIdentity;
  readonly chain: OutgoingChain;
  readonly claims: ReturnType<typeof newClaims>;
  readonly session: http2.ClientHttp2Session;
  readonly slot: string;
  /** Of a call that runs. */
  readonly handle: string;
  readonly ended: Promise<number>;
}

let mesh: TestMesh;
let app: TestApp;
let payments: TestSidecar;
let newestHandle = '';
let newestRevocationS = 0;
const sessions: http2.ClientHttp2Session[] = [];
const prefix = randomBytes(6);
let hops = 0;

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  app = await startHttp1App((request, response) => {
    newestHandle = String(request.headers['delegation-context']);
    if (request.url === '/any/slow') response.write('first');
    else response.end('done');
  });
  mesh.tokens.set('user-token', { sub: `u:${randomBytes(16).toString('base64url')}`, scope: 'orders:read' });
  const port = { listen: '127.0.0.1:0' };
  payments = await mesh.sidecar('payments', {
    mesh: port,
    localApi: port,
    entry: { ...port, refusals: 'code' },
    app: { address: app.address, protocol: 'http1' },
  });
  const first = await mesh.issuer.issue(mesh.id('orders'));
  await eventually(async () => {
    const on = await sessionOf(first);
    expect(await codeOf(on, chainFields(chainOf(first, newClaims())))).toBe('');
  });
});

afterAll(async () => {
  for (const session of sessions) session.destroy();
  await mesh.close();
  await app.close();
});

function newClaims() {
  const id = randomBytes(8).toString('base64url');
  return {
    sub: `u:${randomBytes(16).toString('base64url')}`,
    tctx: {
      client_id: `client-${id}`,
      consent: { id: `consent-${id}`, version: 3 },
      grant: `grant-${id}`,
      purpose: 'test',
      deferred: {
        ref: randomBytes(16).toString('base64url'),
        txn: randomBytes(16).toString('base64url'),
        depth: 1,
        wl: [mesh.id('storefront'), mesh.id('orders')],
      },
    },
  };
}

function chainOf(identity: TestIdentity, claims: Held['claims']): OutgoingChain {
  const parent = mesh.root(identity, 'payments:charge', claims);
  return mintLink({
    parent,
    to: mesh.id('payments'),
    signer: identity.current(),
    nowS: Date.now() / 1000,
    jti: randomBytes(12),
  });
}

function hopField(): string {
  hops += 1;
  const counter = Buffer.alloc(6);
  counter.writeUInt32BE(hops, 2);
  return `${Buffer.concat([prefix, counter]).toString('base64url')}.0.${randomBytes(12).toString('base64url')}`;
}

function chainFields({ txnToken, delegationChain, delegationCredentials }: OutgoingChain): string[] {
  const fields = ['txn-token', txnToken, 'delegation-chain', delegationChain];
  return [...fields, 'delegation-credentials', delegationCredentials, 'delegation-hop', hopField()];
}

const slotFields = (slot: string): string[] => ['delegation-slot', slot, 'delegation-hop', hopField()];

async function sessionOf(identity: TestIdentity): Promise<http2.ClientHttp2Session> {
  const { privateKeyPem: key, certificateChainPem: cert } = identity.current();
  const [host, port] = (payments.ready.mesh as string).split(':');
  const alpn = ['behalf-h2/1'];
  const socket = connect({ host, port: Number(port), key, cert, rejectUnauthorized: false, ALPNProtocols: alpn });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  const session = http2.connect('http://payments', { createConnection: () => socket });
  session.on('error', () => undefined);
  sessions.push(session);
  return session;
}

function open(on: http2.ClientHttp2Session, fields: readonly string[], path: string) {
  const pseudo = [':method', 'GET', ':path', path, ':scheme', 'http', ':authority', 'payments'];
  const stream = on.request([...pseudo, ...fields]);
  stream.on('error', () => undefined);
  const ended = new Promise<number>((resolve) => stream.on('close', () => resolve(stream.rstCode)));
  const head = new Promise<http2.IncomingHttpHeaders | null>((resolve) => {
    stream.on('response', resolve);
    stream.on('close', () => resolve(null));
  });
  stream.resume();
  return { head, ended };
}

/** The code of a call's refusal, empty where it was let in, `closed` where the connection had no room for it any more. */
async function codeOf(on: http2.ClientHttp2Session, fields: readonly string[]): Promise<string> {
  if (on.destroyed || on.closed) return 'closed';
  const head = await open(on, fields, '/any/x').head;
  return head === null ? 'closed' : String(head['delegation-error'] ?? '');
}

/** A delegation that is accepted in every place. What a revocation of a second hits, all that was made in it included, lies behind. */
async function hold(): Promise<Held> {
  await eventually(() => expect(Math.floor(Date.now() / 1000)).toBeGreaterThan(newestRevocationS));
  const identity = await mesh.issuer.issue(mesh.id('orders'));
  const claims = newClaims();
  const chain = chainOf(identity, claims);
  const session = await sessionOf(identity);
  const head = await open(session, chainFields(chain), '/any/x').head;
  const slot = String(head?.['delegation-slot']);
  expect([head?.[':status'], slot]).toEqual([200, chain.chainId.toString('base64url')]);
  expect(await codeOf(session, slotFields(slot))).toBe('');
  const running = open(session, slotFields(slot), '/any/slow');
  expect((await running.head)?.[':status']).toBe(200);
  const handle = newestHandle;
  expect((await ofHandle(handle)).status).toBe(200);
  return { identity, chain, claims, session, slot, handle, ended: running.ended };
}

function ofHandle(handle: string) {
  return ask(payments.ready.localApi as string, { path: '/delegation', headers: { 'delegation-context': handle } });
}

function revoke(revocation: Pick<Revocation, 'kind' | 'value'>, source: LiveStateSource): void {
  newestRevocationS = Math.floor(Date.now() / 1000);
  mesh.revoke({ ...revocation, before: newestRevocationS }, source);
}

interface Row {
  readonly kind: Revocation['kind'];
  readonly source: LiveStateSource;
  value(held: Held): string;
  /** What the chain gets after it, on the same connection and on a new one. */
  readonly codes: readonly string[];
  /** Whether everything that stands now is hit. */
  readonly hitsAll: boolean;
}

const TXN_OF = ({ chain }: Held): string =>
  JSON.parse(Buffer.from(chain.txnToken.split('.')[1] as string, 'base64url').toString()).txn;
const WIT_KID_OF = ({ chain }: Held): string =>
  JSON.parse(Buffer.from(chain.delegationCredentials.split('.')[0] as string, 'base64url').toString()).kid;
const DELEGATION = ['delegation_revoked'];
/** A peer that is itself revoked has no say any more; its connection ends soon. */
const PEER = ['delegation_revoked', 'peer_revoked', 'closed'];

const ROWS: readonly Row[] = [
  { kind: 'txn', source: 'authority', value: TXN_OF, codes: DELEGATION, hitsAll: false },
  { kind: 'sub', source: 'authority', value: ({ claims }) => claims.sub, codes: DELEGATION, hitsAll: false },
  {
    kind: 'client',
    source: 'authority',
    value: ({ claims }) => claims.tctx.client_id,
    codes: DELEGATION,
    hitsAll: false,
  },
  {
    kind: 'consent',
    source: 'authority',
    value: ({ claims }) => claims.tctx.consent.id,
    codes: ['consent_withdrawn'],
    hitsAll: false,
  },
  { kind: 'grant', source: 'authority', value: ({ claims }) => claims.tctx.grant, codes: DELEGATION, hitsAll: false },
  {
    kind: 'deferred',
    source: 'authority',
    value: ({ claims }) => claims.tctx.deferred.ref,
    codes: DELEGATION,
    hitsAll: false,
  },
  { kind: 'kid', source: 'authority', value: () => 'root-1', codes: DELEGATION, hitsAll: true },
  { kind: 'wit', source: 'ca', value: ({ identity }) => identity.current().witJti, codes: DELEGATION, hitsAll: false },
  {
    kind: 'cert',
    source: 'ca',
    value: ({ identity }) => identity.current().certificateS256,
    codes: PEER,
    hitsAll: false,
  },
  { kind: 'workload', source: 'ca', value: () => mesh.id('orders'), codes: PEER, hitsAll: true },
  { kind: 'kid', source: 'ca', value: WIT_KID_OF, codes: DELEGATION, hitsAll: true },
];

test('of a consent that was narrowed, chains of older versions end and those of the new one live', async () => {
  const held = await hold();
  const newer = { ...held.claims, tctx: { ...held.claims.tctx, consent: { ...held.claims.tctx.consent, version: 4 } } };
  mesh.revoke({ kind: 'consent', value: held.claims.tctx.consent.id, before: 0, version: 4 });
  expect(await held.ended).toBe(http2.constants.NGHTTP2_CANCEL);
  expect(await codeOf(held.session, slotFields(held.slot))).toBe('consent_withdrawn');
  expect(await codeOf(held.session, chainFields(chainOf(held.identity, newer)))).toBe('');
});

test.each(ROWS)('a revocation of kind $kind by the $source reaches every place', async (row) => {
  const [held, beside] = [await hold(), await hold()];
  revoke({ kind: row.kind, value: row.value(held) }, row.source);
  expect(await held.ended).toBe(http2.constants.NGHTTP2_CANCEL);
  const view = await ofHandle(held.handle);
  expect([view.status, row.codes]).toEqual([403, expect.arrayContaining([JSON.parse(view.body).code])]);
  expect(row.codes).toContain(await codeOf(held.session, slotFields(held.slot)));
  expect(row.codes).toContain(await codeOf(held.session, chainFields(held.chain)));
  expect(row.codes).toContain(await codeOf(await sessionOf(held.identity), chainFields(held.chain)));
  if (row.hitsAll) return;
  expect(await codeOf(beside.session, slotFields(beside.slot))).toBe('');
  expect((await ofHandle(beside.handle)).status).toBe(200);
});

test('a sidecar whose own WIT was signed by a revoked key lets nobody in, until it has another', async () => {
  const kid = payments.identity.current().witKid;
  newestRevocationS = Math.floor(Date.now() / 1000);
  mesh.revoke({ kind: 'kid', value: kid, before: newestRevocationS }, 'ca');
  const entry = () =>
    ask(payments.ready.entry as string, { path: '/any/x', headers: { authorization: 'Bearer user-token' } });
  await eventually(async () => expect(JSON.parse((await entry()).body)).toMatchObject({ code: 'delegation_revoked' }));
  await eventually(() => expect(Math.floor(Date.now() / 1000)).toBeGreaterThan(newestRevocationS));
  await payments.identity.renew();
  await eventually(async () => expect((await entry()).status).toBe(200));
});
