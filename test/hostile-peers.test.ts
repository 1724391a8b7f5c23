/**
 * Peers that misbehave, and clients outside that lie, against real processes: each is refused with a code of its own, and the
 * refusal stands in the log with who, where and which certificate. All speak through Debian's curl, so that nothing here is
 * refused only because our own client would not send it.
 */
import { request } from 'node:http';
import { request as secureRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { curl } from './mesh/curl.ts';
import { foreignCertificate } from './mesh/foreign-ca.ts';
import { attest, claimsOf, type Fields, fieldLines, linkParts, type Probe, startProbe } from './mesh/probe.ts';
import {
  expectCode,
  expectRefused,
  expectRefusedHop,
  hopOnRecord,
  hopsOnRecord,
  refusedConnection,
  refusedConnections,
  serialNumber,
} from './mesh/refusals.ts';
import { eventually, type RunningMesh, runMesh } from './mesh/running-mesh.ts';
import { backFields, frontFields } from './mesh/seen-fields.ts';
import { twoServices, workload } from './mesh/two-services.ts';

const EXPIRES_WITHIN_MS = 20_000;
const FLOOD = 500;
const FLOOD_AT_ONCE = 50;
/** Counts are written at the end of a window of 10 s. */
const COUNTED_WITHIN_MS = 30_000;

let running: RunningMesh;
let probe: Probe;
let accessToken: string;

beforeAll(async () => {
  running = await runMesh((dir) => twoServices(dir, { accounts: { ada: 'correct horse' } }));
  ({ accessToken } = await running.signIn('ada', 'correct horse'));
  probe = await startProbe(running, accessToken);
}, 120_000);

afterAll(async () => {
  await probe?.identity.close();
  await running?.stop();
});

test('a certificate of the mesh with a chain of its own is let in: what follows differs in one thing each', async () => {
  const { answer, hopId } = await probe.present(await probe.chain());
  expect(answer.status).toBe(200);
  expect(JSON.parse(answer.body)).toMatchObject({ scopes: 'notes:read', actors: workload('probe') });
  expect(await hopOnRecord(running, hopId)).toMatchObject({ outcome: 'OUTCOME_FORWARDED', code: '', refusedBy: '' });
});

test('no certificate: peer_unauthenticated', async () => {
  const answer = await curl(backUrl(), fieldLines(await probe.chain()));
  expectCode(answer, 401, 'peer_unauthenticated');
  const refused = await refusedConnection(running, 'peer_unauthenticated');
  expect(refused).toMatchObject({ peer: '', peerSerial: Buffer.alloc(0) });
});

test('a certificate of another CA for the very same workload: peer_untrusted', async () => {
  const foreign = foreignCertificate(running.mesh.dir.folder('other-ca'), workload('probe'));
  const answer = await curl(backUrl(), fieldLines(await probe.chain()), foreign);
  expectCode(answer, 401, 'peer_untrusted');
  const refused = await refusedConnection(running, 'peer_untrusted');
  expect(serialNumber(refused.peerSerial)).toBe(serialNumber(foreign.serial));
  // Nobody proved to be that workload, so that the record does not say so either.
  expect(refused.peer).toBe('');
});

test('a chain that was handed to somebody else: delegation_wrong_audience', async () => {
  await expectProbeRefused(await probe.chain(workload('front')), 401, 'delegation_wrong_audience');
});

test('one byte of a link’s signature changed: delegation_bad_signature', async () => {
  const sent = await probe.chain();
  const [header, payload, signature] = linkParts(sent);
  const bytes = Buffer.from(signature, 'base64url');
  bytes[7]! ^= 1;
  const changed = `${header}.${payload}.${bytes.toString('base64url')}`;
  await expectProbeRefused({ ...sent, 'delegation-chain': changed }, 401, 'delegation_bad_signature');
});

test('one byte of a link’s payload changed: delegation_bad_signature', async () => {
  const sent = await probe.chain();
  const [header, payload, signature] = linkParts(sent);
  const claims = claimsOf(payload) as { jti: string };
  const jti = `${claims.jti.startsWith('A') ? 'B' : 'A'}${claims.jti.slice(1)}`;
  const changed = Buffer.from(JSON.stringify({ ...claims, jti })).toString('base64url');
  expect(changed).toHaveLength(payload.length);
  const chain = `${header}.${changed}.${signature}`;
  await expectProbeRefused({ ...sent, 'delegation-chain': chain }, 401, 'delegation_bad_signature');
});

test('a link, rightly signed, that adds a scope to its root: delegation_scope_widened', async () => {
  const widened = probe.withClaims(await probe.chain(), { scope: 'notes:read notes:write' });
  await expectProbeRefused(widened, 403, 'delegation_scope_widened');
});

test('a root presented bare: delegation_malformed', async () => {
  const { 'txn-token': root } = await probe.chain();
  await expectProbeRefused({ 'txn-token': root! }, 401, 'delegation_malformed');
});

test('no chain at all: delegation_missing', async () => {
  await expectProbeRefused({}, 403, 'delegation_missing');
});

test('an access token in place of a chain: delegation_malformed', async () => {
  await expectProbeRefused({ authorization: `Bearer ${accessToken}` }, 401, 'delegation_malformed');
});

test('a chain of another workload, taken from the record: delegation_holder_mismatch', async () => {
  const entry = await fetch(`${running.service('front').entry}/notes`, {
    headers: { Authorization: `Bearer ${accessToken}` },
  });
  expect(entry.status).toBe(200);
  const captured = await eventually(async () => {
    for (const { event } of await running.hops())
      if (event.body === 'hop' && event.hop.caller === workload('front') && event.hop.chainId.length > 0)
        return (await running.query.getChain({ hopId: event.hop.hopId })).chain;
    return null;
  });
  const fields = {
    'txn-token': captured.txnToken,
    'delegation-chain': captured.delegationChain,
    'delegation-credentials': captured.delegationCredentials,
  };
  await expectProbeRefused(fields, 401, 'delegation_holder_mismatch');
});

test('the probe’s chain with the valid certificate of a third workload: delegation_holder_mismatch', async () => {
  const mallory = await attest(running, 'mallory');
  try {
    const presented = await probe.present(await probe.chain(), { as: mallory });
    await expectRefused(running, mallory, presented, 401, 'delegation_holder_mismatch');
  } finally {
    await mallory.close();
  }
});

test('a chain is taken until it ends, then: delegation_expired', async () => {
  const whole = await probe.chain();
  const { iat } = claimsOf(linkParts(whole)[1]) as { iat: number };
  const short = probe.withClaims(whole, { exp: iat + 2 });
  expect((await probe.present(short)).answer.status).toBe(200);
  const ended = await eventually(async () => {
    const presented = await probe.present(short);
    return presented.answer.status === 200 ? null : presented;
  }, EXPIRES_WITHIN_MS);
  await expectRefused(running, probe.identity, ended, 401, 'delegation_expired');
});

test('a hop id used again, on another connection: delegation_replayed', async () => {
  const sent = await probe.chain();
  const hop = probe.nextHop();
  expect((await probe.present(sent, { hop })).answer.status).toBe(200);
  expectCode((await probe.present(sent, { hop })).answer, 409, 'delegation_replayed');
  const [first, second] = await eventually(async () => {
    const hops = await hopsOnRecord(running, hop.hopId);
    return hops.length === 2 ? hops : null;
  });
  expect(first).toMatchObject({ outcome: 'OUTCOME_FORWARDED', code: '' });
  expectRefusedHop(second!, probe.identity, 'delegation_replayed');
});

test('mesh fields from outside, in any spelling, reach neither service', async () => {
  const forged = [
    ...['Delegation-Subject', 'DELEGATION-SCOPES', 'delegation-actors', 'Delegation-Client', 'Delegation-Context'],
    ...['delegation_subject', 'Delegation_Scopes', 'DELEGATION_CONTEXT', 'delegation.actors', 'Delegation-Anything'],
    ...['Txn-Token', 'txn_token', 'TXN-TOKEN', 'Delegation-Chain', 'Delegation-Credentials', 'Delegation-Hop'],
    ...['Delegation-Slot', 'Delegation-Error', 'dlg', 'DLG'],
  ].map((name) => `${name}: forged`);
  const answer = await curl(`${running.service('front').entry}/fields`, [
    `Authorization: Bearer ${accessToken}`,
    'X-Own: kept',
    ...forged,
    ...['baggage: app=kept,dlg=forged', 'Baggage: DLG=forged;p=1', 'BAGGAGE: %64lg=forged,%44LG=forged'],
  ]);
  expect(answer.status).toBe(200);
  const atFront = frontFields(answer.headers.get('x-front-fields'));
  for (const seen of [atFront, backFields(answer.body)]) {
    expect(seen.filter(([, value]) => value.includes('forged'))).toEqual([]);
    expect(seen.filter(([name]) => /_|\.|^dlg$|^txn|^authorization$/i.test(name))).toEqual([]);
    // One of each that is the sidecar's own word, and no other.
    const facts = seen.map(([name]) => name.toLowerCase()).filter((name) => name.startsWith('delegation-'));
    expect(facts.toSorted()).toEqual(
      ['actors', 'client', 'context', 'scopes', 'subject'].map((fact) => `delegation-${fact}`),
    );
  }
  expect(new Map(atFront).get('x-own')).toBe('kept');
  expect(new Map(atFront).get('baggage')).toMatch(/^dlg=[\w-]{22},app=kept$/);
});

test('mesh fields in the trailers of a request from outside reach neither service', async () => {
  const { front, body } = await postWithTrailers({
    'Delegation-Subject': 'forged',
    delegation_scopes: 'forged',
    dlg: 'forged',
    'X-Own': 'kept',
  });
  const seen = [...frontFields(front), ...backFields(body)];
  // The app's own trailer came through, so that the others had the same way.
  expect(seen.filter(([name]) => name.toLowerCase() === 'x-own')).toHaveLength(1);
  expect(seen.filter(([, value]) => value.includes('forged'))).toEqual([]);
});

test('facts that a peer makes up beside its own chain do not reach the service', async () => {
  const forged = { 'delegation-subject': 'forged', delegation_scopes: 'forged', baggage: 'dlg=forged' };
  const { answer } = await probe.present({ ...(await probe.chain()), ...forged }, { path: '/fields' });
  expect(answer.status).toBe(200);
  expect(backFields(answer.body).filter(([, value]) => value.includes('forged'))).toEqual([]);
});

test('a flood of refused connections makes few events, and each of them is on record all the same', async () => {
  const before = (await refusedConnections(running, 'peer_unauthenticated')).length;
  for (let sent = 0; sent < FLOOD; sent += FLOOD_AT_ONCE) {
    const answers = await Promise.all(Array.from({ length: FLOOD_AT_ONCE }, knock));
    expect(new Set(answers)).toEqual(new Set([401]));
  }
  const found = await eventually(async () => {
    const events = (await refusedConnections(running, 'peer_unauthenticated')).slice(before);
    const total = events.reduce((sum, { suppressed }) => sum + Math.max(1, suppressed), 0);
    return total === FLOOD ? events : null;
  }, COUNTED_WITHIN_MS);
  expect(found.length).toBeLessThan(FLOOD / 2);
}, 60_000);

function backUrl(): string {
  return `https://${running.service('back').mesh}/notes`;
}

async function expectProbeRefused(fields: Fields, status: number, code: string): Promise<void> {
  await expectRefused(running, probe.identity, await probe.present(fields), status, code);
}

/** A connection of its own without a certificate; the status that it is answered with. */
function knock(): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = secureRequest(backUrl(), { agent: false, rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

/** curl sends no trailers. */
function postWithTrailers(
  trailers: Record<string, string>,
): Promise<{ readonly front: string; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(`${running.service('front').entry}/fields`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${accessToken}`, 'Transfer-Encoding': 'chunked', Trailer: 'X-Own' },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      text(response).then((body) => resolve({ front: String(response.headers['x-front-fields']), body }), reject);
    });
    outgoing.write('note');
    outgoing.addTrailers(trailers);
    outgoing.end();
  });
}
