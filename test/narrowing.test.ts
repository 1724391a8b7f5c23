/**
 * Less with each hand-over, across real processes: what an app asks for itself, what an edge lets through, and links that are
 * bound to one route or to one use at one pod, also after that pod's sidecar was started again.
 */
import { createHash } from 'node:crypto';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Hop } from '../proto/behalf/audit/v1/audit.ts';
import { type CurlAnswer, curl } from './mesh/curl.ts';
import { limitedServices } from './mesh/limited-services.ts';
import { claimsOf, type Fields, type Probe, startProbe } from './mesh/probe.ts';
import { expectRefused } from './mesh/refusals.ts';
import { eventually, type RunningMesh, runMesh } from './mesh/running-mesh.ts';
import { workload } from './mesh/two-services.ts';

let running: RunningMesh;
let probe: Probe;
let accessToken: string;

beforeAll(async () => {
  running = await runMesh((dir) => limitedServices(dir, { ada: 'correct horse' }));
  ({ accessToken } = await running.signIn('ada', 'correct horse'));
  probe = await startProbe(running, accessToken);
}, 120_000);

afterAll(async () => {
  await probe?.identity.close();
  await running?.stop();
});

/** A user's request to one of the entries; its service calls the next. */
function enter(entry: string, path: string, headers: readonly string[] = []): Promise<CurlAnswer> {
  const { entry: address } = running.service(entry);
  return curl(`${address}${path}`, [`authorization: Bearer ${accessToken}`, ...headers]);
}

/** Both sides' account of the newest call to `callee` that is like that. */
function sidesOf(callee: string, like: (hop: Hop) => boolean): Promise<Hop[]> {
  return eventually(async () => {
    const hops = (await running.hops()).flatMap(({ event }) => (event.body === 'hop' ? [event.hop] : []));
    const newest = hops.findLast((hop) => hop.callee === workload(callee) && like(hop));
    const sides = hops.filter((hop) => newest !== undefined && hop.hopId.equals(newest.hopId));
    return sides.length === 2 ? sides : null;
  });
}

/** Claims of the link with which a call was handed over, from the record. */
async function linkOf({ hopId }: Hop): Promise<object> {
  const { chain } = await running.query.getChain({ hopId });
  const last = chain?.delegationChain.split(', ').at(-1) ?? '';
  return claimsOf(last.split('.')[1] ?? '');
}

/** base64url SHA-256 of the certificate that `back`'s sidecar shows. */
function certificateOfBack(): Promise<string> {
  const { privateKeyPem, certificateChainPem } = probe.identity.current();
  const [host, port] = String(running.service('back').mesh).split(':');
  return new Promise((resolve, reject) => {
    const credentials = { key: privateKeyPem, cert: certificateChainPem, rejectUnauthorized: false };
    const socket = connect({ host, port: Number(port), ALPNProtocols: ['h2'], ...credentials }, () => {
      resolve(createHash('sha256').update(socket.getPeerCertificate().raw).digest('base64url'));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

async function expectAccepted(fields: Fields, path: string): Promise<void> {
  const { answer } = await probe.present(fields, { path });
  expect(answer.status, answer.body).toBe(200);
}

async function expectProbeRefused(fields: Fields, path: string, status: number, code: string): Promise<void> {
  await expectRefused(running, probe.identity, await probe.present(fields, { path }), status, code);
}

test('an app that asks for less hands on less, and both sides put that on record', async () => {
  const all = await enter('middle', '/all');
  expect(JSON.parse(all.body)).toMatchObject({ scopes: 'notes:read notes:write' });
  const less = await enter('middle', '/less', ['x-ask-scope: notes:read']);
  const seen = JSON.parse(less.body) as { scopes: string; headers: string[] };
  expect(seen.scopes).toBe('notes:read');
  expect(seen.headers).not.toContain('delegation-scope');
  const sides = await sidesOf('back', ({ scope }) => scope === 'notes:read');
  expect(sides.map(({ scope }) => scope)).toEqual(['notes:read', 'notes:read']);
  expect(await linkOf(sides[0]!)).toMatchObject({ scope: 'notes:read' });
});

test('an app that asks for more than is left is refused, and nothing is sent', async () => {
  const answer = await enter('middle', '/more', ['x-ask-scope: notes:read notes:admin']);
  expect([answer.status, answer.code]).toEqual([403, 'delegation_scope_widened']);
  const hops = await eventually(async () => {
    const found = (await running.hops()).filter(
      ({ event }) => event.body === 'hop' && event.hop.code === 'delegation_scope_widened',
    );
    return found.length > 0 ? found : null;
  });
  expect(hops.map(({ logged }) => logged.reporter)).toEqual([workload('middle')]);
});

test('over an edge with a depth a chain goes no further than that', async () => {
  const answer = await enter('front', '/notes');
  expect([answer.status, answer.code]).toEqual([431, 'delegation_too_deep']);
  const [hop] = await sidesOf('middle', ({ caller }) => caller === workload('front'));
  expect(await linkOf(hop!)).toMatchObject({ del_max_depth: 1 });
});

test('over an edge with next a chain goes on to nobody else', async () => {
  const answer = await enter('desk', '/notes');
  expect([answer.status, answer.code]).toEqual([401, 'delegation_broken_chain']);
  const [hop] = await sidesOf('middle', ({ caller }) => caller === workload('desk'));
  expect(await linkOf(hop!)).toMatchObject({ next: [workload('front')] });
});

test('sidecars make the links that a route demands', async () => {
  expect((await enter('middle', '/bound/7')).status).toBe(200);
  const [bound] = await sidesOf('back', ({ route }) => route === 'GET /bound/{id}');
  expect(await linkOf(bound!)).toMatchObject({ rte: 'GET /bound/{id}' });
  expect((await enter('middle', '/paid/7')).status).toBe(200);
  expect((await enter('middle', '/paid/7')).status).toBe(200);
  const [paid] = await sidesOf('back', ({ route }) => route === 'GET /paid/{id}');
  expect(await linkOf(paid!)).toMatchObject({ rte: 'GET /paid/{id}', once: await certificateOfBack() });
});

test('a link that is not bound to the route that demands it, or to another, is refused', async () => {
  const plain = await probe.chain();
  await expectAccepted(plain, '/notes');
  await expectProbeRefused(plain, '/bound/7', 403, 'delegation_wrong_route');
  const elsewhere = probe.withClaims(plain, { rte: 'GET /paid/{id}' });
  await expectProbeRefused(elsewhere, '/bound/7', 403, 'delegation_wrong_route');
  await expectAccepted(probe.withClaims(plain, { rte: 'GET /bound/{id}' }), '/bound/7');
});

test('a link that is good once is taken once, at the pod that it names', async () => {
  const plain = await probe.chain();
  const rte = 'GET /paid/{id}';
  await expectProbeRefused(probe.withClaims(plain, { rte }), '/paid/7', 403, 'delegation_wrong_route');
  const otherPod = probe.withClaims(plain, { rte, once: 'A'.repeat(43) });
  await expectProbeRefused(otherPod, '/paid/7', 401, 'delegation_wrong_audience');
  const good = probe.withClaims(plain, { rte, once: await certificateOfBack() });
  await expectAccepted(good, '/paid/7');
  await expectProbeRefused(good, '/paid/7', 409, 'delegation_replayed');
});

test('a sidecar that started again refuses links from before, which it may have taken, and takes new ones', async () => {
  const rte = 'GET /paid/{id}';
  const plain = await probe.chain();
  const before = probe.withClaims(plain, { rte, once: await certificateOfBack() });
  await expectAccepted(before, '/paid/8');
  running.mesh.children.get('back sidecar')!.kill('SIGKILL');
  await running.mesh.children.restart('back sidecar');
  const once = await certificateOfBack();
  const again = probe.withClaims(before, { once, jti: jtiOf(before) });
  await expectProbeRefused(again, '/paid/8', 409, 'delegation_replayed');
  // Times are whole seconds: a link of the second of the start still counts as one from before.
  await eventually(async () => {
    const { answer } = await probe.present(probe.withClaims(await probe.chain(), { rte, once }), { path: '/paid/8' });
    if (answer.status !== 200) expect(answer.code).toBe('delegation_replayed');
    return answer.status === 200 ? true : null;
  });
}, 60_000);

function jtiOf(fields: Fields): string {
  const claims = claimsOf(fields['delegation-chain']!.split('.')[1]!) as { readonly jti: string };
  return claims.jti;
}
