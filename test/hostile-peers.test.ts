/**
 * Peers that misbehave, and clients outside that lie, against real processes: each is refused with a code of its own, and the
 * refusal stands in the log with who, where and which certificate. All speak through Debian's curl, so that nothing here is
 * refused only because our own client would not send it.
 */
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { attestWorkload, chainHeaders, createHops, exchangeToken } from '../cli/story/intruder/workload.ts';
import { signCompactJws } from '../identity/jws.ts';
import type { OwnIdentity } from '../identity/own/own-identity.ts';
import type { ConnectionRefused, Hop } from '../proto/behalf/audit/v1/audit.ts';
import { type CurlAnswer, type CurlCredentials, curl, writeCredentials } from './mesh/curl.ts';
import { foreignCertificate } from './mesh/foreign-ca.ts';
import { eventually, type RunningMesh, runMesh } from './mesh/running-mesh.ts';
import { twoServices, workload } from './mesh/two-services.ts';

type Fields = Readonly<Record<string, string>>;

const PATH = '/notes';
const EXPIRES_WITHIN_MS = 20_000;
const log = pino({ level: 'silent' });
const nextHop = createHops();

let running: RunningMesh;
let probe: OwnIdentity;
let probeFiles: CurlCredentials;
let accessToken: string;

beforeAll(async () => {
  running = await runMesh((dir) => twoServices(dir, { accounts: { ada: 'correct horse' } }));
  ({ accessToken } = await running.signIn('ada', 'correct horse'));
  probe = await attestWorkload({ mesh: running.mesh, log }, 'probe', workload('probe'));
  probeFiles = filesOf('probe', probe);
}, 120_000);

afterAll(async () => {
  await probe?.close();
  await running?.stop();
});

test('a certificate of the mesh with a chain of its own is let in: what follows differs in one thing each', async () => {
  const { answer, hopId } = await present(await chain());
  expect(answer.status).toBe(200);
  expect(JSON.parse(answer.body)).toMatchObject({ scopes: 'notes:read', actors: workload('probe') });
  expect(await hopOnRecord(hopId)).toMatchObject({ outcome: 'OUTCOME_FORWARDED', code: '', refusedBy: '' });
});

test('no certificate: peer_unauthenticated', async () => {
  const answer = await curl(mtlsUrl(), fieldLines(await chain()));
  expectCode(answer, 401, 'peer_unauthenticated');
  expect(await refusedConnection('peer_unauthenticated')).toMatchObject({ peer: '', peerSerial: Buffer.alloc(0) });
});

test('a certificate of another CA for the very same workload: peer_untrusted', async () => {
  const foreign = foreignCertificate(running.mesh.dir.folder('other-ca'), workload('probe'));
  const answer = await curl(mtlsUrl(), fieldLines(await chain()), foreign);
  expectCode(answer, 401, 'peer_untrusted');
  const refused = await refusedConnection('peer_untrusted');
  expect(number(refused.peerSerial)).toBe(number(foreign.serial));
  // Nobody proved to be that workload, so that the record does not say so either.
  expect(refused.peer).toBe('');
});

test('a chain that was handed to somebody else: delegation_wrong_audience', async () => {
  const root = await exchangeToken({ mesh: running.mesh, log }, probe, accessToken, 'notes:read');
  await expectRefused(chainHeaders(probe, root, workload('front')), 401, 'delegation_wrong_audience');
});

test('one byte of a link’s signature changed: delegation_bad_signature', async () => {
  const sent = await chain();
  const [header, payload, signature] = partsOf(sent);
  const bytes = Buffer.from(signature, 'base64url');
  bytes[7]! ^= 1;
  const changed = `${header}.${payload}.${bytes.toString('base64url')}`;
  await expectRefused({ ...sent, 'delegation-chain': changed }, 401, 'delegation_bad_signature');
});

test('one byte of a link’s payload changed: delegation_bad_signature', async () => {
  const sent = await chain();
  const [header, payload, signature] = partsOf(sent);
  const claims = claimsOf(payload);
  const { jti } = claims as { jti: string };
  const other = `${jti.startsWith('A') ? 'B' : 'A'}${jti.slice(1)}`;
  const changed = Buffer.from(JSON.stringify({ ...claims, jti: other })).toString('base64url');
  expect(changed).toHaveLength(payload.length);
  await expectRefused(
    { ...sent, 'delegation-chain': `${header}.${changed}.${signature}` },
    401,
    'delegation_bad_signature',
  );
});

test('a link, rightly signed, that adds a scope to its root: delegation_scope_widened', async () => {
  await expectRefused(withClaims(await chain(), { scope: 'notes:read notes:write' }), 403, 'delegation_scope_widened');
});

test('a root presented bare: delegation_malformed', async () => {
  const { 'txn-token': root } = await chain();
  await expectRefused({ 'txn-token': root! }, 401, 'delegation_malformed');
});

test('no chain at all: delegation_missing', async () => {
  await expectRefused({}, 403, 'delegation_missing');
});

test('an access token in place of a chain: delegation_malformed', async () => {
  await expectRefused({ authorization: `Bearer ${accessToken}` }, 401, 'delegation_malformed');
});

test('a chain of another workload, taken from the record: delegation_holder_mismatch', async () => {
  const entry = await fetch(`${running.service('front').entry}${PATH}`, {
    headers: { Authorization: `Bearer ${accessToken}` },
  });
  expect(entry.status).toBe(200);
  const captured = await eventually(async () => {
    for (const { event } of await running.hops())
      if (event.body === 'hop' && event.hop.caller === workload('front') && event.hop.chainId.length > 0)
        return (await running.query.getChain({ hopId: event.hop.hopId })).chain;
    return null;
  });
  await expectRefused(
    {
      'txn-token': captured.txnToken,
      'delegation-chain': captured.delegationChain,
      'delegation-credentials': captured.delegationCredentials,
    },
    401,
    'delegation_holder_mismatch',
  );
});

test('a chain of another workload with a valid certificate of a third: delegation_holder_mismatch', async () => {
  const mallory = await attestWorkload({ mesh: running.mesh, log }, 'mallory', workload('mallory'));
  try {
    const { answer, hopId } = await present(await chain(), filesOf('mallory', mallory));
    expectCode(answer, 401, 'delegation_holder_mismatch');
    const hop = await hopOnRecord(hopId);
    expect(hop).toMatchObject({ code: 'delegation_holder_mismatch', caller: workload('mallory') });
    expect(number(hop.peerSerial)).toBe(BigInt(`0x${mallory.current().serialHex}`));
  } finally {
    await mallory.close();
  }
});

test('a chain is taken until it ends, then: delegation_expired', async () => {
  const [, payload] = partsOf(await chain());
  const { iat } = claimsOf(payload) as { iat: number };
  const short = withClaims(await chain(), { exp: iat + 2 });
  const first = await present(short);
  expect(first.answer.status).toBe(200);
  const last = await eventually(async () => {
    const one = await present(short);
    return one.answer.status === 200 ? null : one;
  }, EXPIRES_WITHIN_MS);
  await expectRefusalOf(last, 401, 'delegation_expired');
});

test('a hop id used again, on another connection: delegation_replayed', async () => {
  const sent = await chain();
  const hop = nextHop();
  expect((await present(sent, probeFiles, hop)).answer.status).toBe(200);
  const again = await present(sent, probeFiles, hop);
  expectCode(again.answer, 409, 'delegation_replayed');
  const [first, second] = await eventually(async () => {
    const hops = await hopsOnRecord(hop.hopId);
    return hops.length === 2 ? hops : null;
  });
  expect(first).toMatchObject({ outcome: 'OUTCOME_FORWARDED', code: '' });
  expectRefusedHop(second!, 'delegation_replayed');
});

test('mesh fields from outside, in any spelling, reach neither service', async () => {
  const forged = [
    ...['Delegation-Subject', 'DELEGATION-SCOPES', 'delegation-actors', 'Delegation-Client', 'Delegation-Context'],
    ...['delegation_subject', 'Delegation_Scopes', 'DELEGATION_CONTEXT', 'delegation.actors', 'Delegation-Anything'],
    ...['Txn-Token', 'txn_token', 'TXN-TOKEN', 'Delegation-Chain', 'Delegation-Credentials', 'Delegation-Hop'],
    ...['Delegation-Slot', 'Delegation-Error', 'dlg', 'DLG'],
  ].map((name) => `${name}: forged`);
  const baggage = ['baggage: app=kept,dlg=forged', 'Baggage: DLG=forged;p=1', 'BAGGAGE: %64lg=forged,%44LG=forged'];
  const answer = await curl(`${running.service('front').entry}/fields`, [
    `Authorization: Bearer ${accessToken}`,
    'X-Own: kept',
    ...forged,
    ...baggage,
  ]);
  expect(answer.status).toBe(200);
  for (const seen of [frontFields(answer.headers.get('x-front-fields')), backFields(answer.body)]) {
    expect(seen.filter(([, value]) => value.includes('forged'))).toEqual([]);
    expect(seen.filter(([name]) => /_|\.|^dlg$|^txn|^authorization$/i.test(name))).toEqual([]);
    // One of each that is the sidecar's own word, and no other.
    const facts = seen.map(([name]) => name.toLowerCase()).filter((name) => name.startsWith('delegation-'));
    expect(facts.toSorted()).toEqual([
      ...['delegation-actors', 'delegation-client', 'delegation-context', 'delegation-scopes', 'delegation-subject'],
    ]);
  }
  const atFront = new Map(frontFields(answer.headers.get('x-front-fields')));
  expect(atFront.get('x-own')).toBe('kept');
  expect(atFront.get('baggage')).toMatch(/^dlg=[\w-]{22},app=kept$/);
});

test('mesh fields in the trailers of a request from outside reach neither service', async () => {
  const outgoing = request(`${running.service('front').entry}/fields`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${accessToken}`,
      'Transfer-Encoding': 'chunked',
      Trailer: 'Delegation-Subject, x-own',
    },
  });
  const answered = new Promise<{ readonly front: string; readonly body: string }>((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      text(response).then((body) => resolve({ front: String(response.headers['x-front-fields']), body }), reject);
    });
  });
  outgoing.write('note');
  outgoing.addTrailers({ 'Delegation-Subject': 'forged', delegation_scopes: 'forged', dlg: 'forged', 'X-Own': 'kept' });
  outgoing.end();
  const { front, body } = await answered;
  const seen = [...frontFields(front), ...backFields(body)];
  expect(seen.filter(([name]) => name.toLowerCase() === 'x-own')).toHaveLength(1);
  expect(seen.filter(([, value]) => value.includes('forged'))).toEqual([]);
  expect(JSON.parse(body)).toMatchObject({ body: 'note' });
});

test('facts that a peer makes up beside its own chain do not reach the service', async () => {
  const { answer } = await present(
    { ...(await chain()), 'delegation-subject': 'forged', delegation_scopes: 'forged', baggage: 'dlg=forged' },
    probeFiles,
    nextHop(),
    '/fields',
  );
  expect(answer.status).toBe(200);
  expect(backFields(answer.body).filter(([, value]) => value.includes('forged'))).toEqual([]);
});

function mtlsUrl(path = PATH): string {
  return `https://${running.service('back').mesh}${path}`;
}

/** A chain that is right in everything: ada's, by the probe, for `back`. */
async function chain(): Promise<Fields> {
  const root = await exchangeToken({ mesh: running.mesh, log }, probe, accessToken, 'notes:read');
  return chainHeaders(probe, root, workload('back'));
}

interface Presented {
  readonly answer: CurlAnswer;
  readonly hopId: Buffer;
}

async function present(fields: Fields, as = probeFiles, hop = nextHop(), path = PATH): Promise<Presented> {
  const lines = fieldLines({ ...fields, 'delegation-hop': hop.header });
  return { answer: await curl(mtlsUrl(path), lines, as), hopId: hop.hopId };
}

async function expectRefused(fields: Fields, status: number, code: string): Promise<void> {
  await expectRefusalOf(await present(fields), status, code);
}

async function expectRefusalOf({ answer, hopId }: Presented, status: number, code: string): Promise<void> {
  expectCode(answer, status, code);
  expectRefusedHop(await hopOnRecord(hopId), code);
}

function expectCode({ status, code, headers }: CurlAnswer, expectedStatus: number, expectedCode: string): void {
  expect({ status, code, error: headers.get('delegation-error') }).toEqual({
    status: expectedStatus,
    code: expectedCode,
    error: expectedCode,
  });
}

/** Who was refused, by whom, from where and with which certificate. */
function expectRefusedHop(hop: Hop, code: string): void {
  expect(hop).toMatchObject({
    side: 'SIDE_CALLEE',
    outcome: 'OUTCOME_REFUSED',
    code,
    refusedBy: workload('back'),
    caller: workload('probe'),
    callee: workload('back'),
    peerAddress: '127.0.0.1',
  });
  expect(number(hop.peerSerial)).toBe(BigInt(`0x${probe.current().serialHex}`));
}

async function hopOnRecord(hopId: Buffer): Promise<Hop> {
  return eventually(async () => (await hopsOnRecord(hopId))[0] ?? null);
}

async function hopsOnRecord(hopId: Buffer): Promise<Hop[]> {
  return (await running.hops()).flatMap(({ event }) =>
    event.body === 'hop' && event.hop.hopId.equals(hopId) ? [event.hop] : [],
  );
}

/** The one refused connection with that code, as `back`'s sidecar reported it of its mesh port. */
async function refusedConnection(code: string): Promise<ConnectionRefused> {
  const found = await eventually(async () => {
    const events = (await running.events('connection_refused')).flatMap(({ logged, event }) =>
      event.body === 'connectionRefused' && event.connectionRefused.code === code
        ? [{ reporter: logged.reporter, refused: event.connectionRefused }]
        : [],
    );
    return events.length > 0 ? events : null;
  });
  expect(found).toHaveLength(1);
  const { reporter, refused } = found[0]!;
  expect(reporter).toBe(workload('back'));
  expect(refused).toMatchObject({ listener: 'mesh', peerAddress: '127.0.0.1' });
  return refused;
}

function fieldLines(fields: Fields): string[] {
  return Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
}

function filesOf(name: string, identity: OwnIdentity): CurlCredentials {
  const { privateKeyPem, certificateChainPem } = identity.current();
  return writeCredentials(join(running.mesh.dir.folder('curl'), name), privateKeyPem, certificateChainPem);
}

/** Header, payload and signature of a chain's one link. */
function partsOf(fields: Fields): [string, string, string] {
  return fields['delegation-chain']!.split('.') as [string, string, string];
}

function claimsOf(payload: string): object {
  return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as object;
}

/** The chain with other claims in its link, signed anew with the probe's own WIT key. */
function withClaims(fields: Fields, claims: object): Fields {
  const [header, payload] = partsOf(fields);
  const jti = randomBytes(12).toString('base64url');
  const link = signCompactJws(claimsOf(header), { ...claimsOf(payload), jti, ...claims }, probe.current().witKey);
  return { ...fields, 'delegation-chain': link };
}

function frontFields(encoded: string | undefined): [string, string][] {
  return pairs(JSON.parse(Buffer.from(encoded ?? '', 'base64url').toString('utf8')) as string[]);
}

function backFields(body: string): [string, string][] {
  return pairs((JSON.parse(body) as { fields: string[] }).fields);
}

function pairs(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!]);
}

function number(serial: Buffer): bigint {
  return BigInt(`0x${serial.toString('hex')}`);
}
