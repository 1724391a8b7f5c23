/**
 * A payment with a limit through real processes: the user grants it, the entry takes its part of the grant, the app divides that,
 * the last service sees its share, nobody gets more than was granted, and a workload that gives the same money twice is found.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { curl } from './mesh/curl.ts';
import { payingServices } from './mesh/paying-services.ts';
import { type Probe, startProbe } from './mesh/probe.ts';
import { runCli } from './mesh/run-cli.ts';
import { eventually, type RunningMesh, runMesh } from './mesh/running-mesh.ts';
import { workload } from './mesh/two-services.ts';

let running: RunningMesh;
let probe: Probe | undefined;

beforeAll(async () => {
  running = await runMesh((dir) => payingServices(dir, { ada: 'correct horse' }));
}, 120_000);
afterAll(async () => {
  await probe?.identity.close();
  await running?.stop();
});

const pay = (amount: string, more: object = {}) => ({ type: 'payment', limit: { currency: 'EUR', amount }, ...more });
const acme = (amount: string) => pay(amount, { creditorName: 'ACME' });
const tokenFor = async (...details: object[]) => (await running.signIn('ada', 'correct horse', details)).accessToken;

interface Outcome {
  readonly status: number;
  readonly body: { readonly code?: string; readonly details?: unknown; readonly fields?: readonly string[] };
}

/** A user's request to `front`, which calls `back` once a part. `wish` is the client's own `Delegation-Details`. */
async function request(token: string, path: string, parts: readonly (object[] | string | null)[], wish?: object[]) {
  const texts = parts.map((part) => (Array.isArray(part) ? JSON.stringify(part) : part));
  const answer = await curl(`${running.service('front').entry}${path}`, [
    `authorization: Bearer ${token}`,
    `x-parts: ${JSON.stringify(texts)}`,
    ...(wish === undefined ? [] : [`delegation-details: ${JSON.stringify(wish)}`]),
  ]);
  const outcomes = answer.status === 200 ? (JSON.parse(answer.body) as Outcome[]) : [];
  return { status: answer.status, code: answer.code, outcomes };
}
const codesOf = (outcomes: readonly Outcome[]) => outcomes.map(({ status, body }) => body.code ?? status);

test('each service gets the part that the app says, and no field of the mesh', async () => {
  const { outcomes } = await request(await tokenFor(acme('120.00')), '/pay/1', [[acme('50.00')], [acme('70.00')]]);
  expect(codesOf(outcomes)).toEqual([200, 200]);
  expect(outcomes.map(({ body }) => body.details)).toEqual([[acme('50.00')], [acme('70.00')]]);
  expect(outcomes[0]?.body.fields).not.toContain('delegation-details');
});

test('of calls made at once no more get through than the limit has room for', async () => {
  const parts = Array.from({ length: 8 }, () => [pay('30.00')]);
  const { outcomes } = await request(await tokenFor(pay('100.00')), '/pay/2', parts);
  const codes = codesOf(outcomes);
  expect(codes.filter((code) => code === 200)).toHaveLength(3);
  expect(codes.filter((code) => code === 'details_exhausted')).toHaveLength(5);
});

test('nothing is divided silently: a call that says nothing goes without the payment', async () => {
  const token = await tokenFor(pay('10.00'));
  const { outcomes } = await request(token, '/pay/3', [null]);
  expect(codesOf(outcomes)).toEqual(['insufficient_scope']);
  const look = await request(token, '/look/3', [null]);
  expect(look.outcomes[0]).toMatchObject({ status: 200, body: { details: null } });
});

test.each<[string, object[] | string, string]>([
  ['more than the limit', [pay('10.01')], 'delegation_scope_widened'],
  ['another currency', [{ type: 'payment', limit: { currency: 'USD', amount: '1.00' } }], 'delegation_scope_widened'],
  ['the entry twice', [pay('1.00'), pay('1.00')], 'delegation_scope_widened'],
  ['an unknown type', [{ type: 'loan' }], 'delegation_scope_widened'],
  ['no list', '{"type":"payment"}', 'request_malformed'],
  ['no JSON', 'all of it', 'request_malformed'],
])('an app that asks for %s is refused, and nothing is sent', async (_, part, code) => {
  const { outcomes } = await request(await tokenFor(pay('10.00')), '/pay/4', [part]);
  expect(codesOf(outcomes)).toEqual([code]);
});

test('the limit is one for the grant: each request takes its part, and what is left is for the next', async () => {
  const token = await tokenFor(pay('100.00'));
  expect((await request(token, '/pay/5', [[pay('60.00')]], [pay('60.00')])).outcomes[0]?.status).toBe(200);
  expect((await request(token, '/pay/5', [], [pay('40.01')])).code).toBe('details_exhausted');
  const rest = await request(token, '/pay/5', [[pay('40.00')]]);
  expect(rest.outcomes[0]?.body.details).toEqual([pay('40.00')]);
  expect((await request(token, '/pay/5', [])).code).toBe('details_exhausted');
});

test('a grant without a payment does not come in where one is demanded', async () => {
  expect((await request(await tokenFor(), '/pay/6', [])).code).toBe('insufficient_scope');
});

test('the record tells in words what was handed on', async () => {
  const before = await running.hops();
  const { outcomes } = await request(await tokenFor(acme('7.00')), '/pay/7', [[acme('7.00')]]);
  expect(codesOf(outcomes)).toEqual([200]);
  const hop = await eventually(async () => {
    const newer = (await running.hops()).slice(before.length);
    const paid = newer.find(({ event }) => event.body === 'hop' && event.hop.callee === workload('back'));
    return paid?.event.body === 'hop' ? paid.event.hop : null;
  });
  for (const words of [['chain', 'show'], ['explain']]) {
    const told = await runCli(...words, hop.hopId.toString('base64url'), '--dir', running.dir.path);
    expect(told.stdout, told.stderr).toContain('Pay at most 7.00 EUR to “ACME”');
  }
});

test('a workload that gives the same money twice makes two good chains and one finding', async () => {
  probe = await startProbe(running, await tokenFor(pay('20.00')));
  const chain = await probe.chain(workload('back'), JSON.stringify([pay('20.00')]));
  for (const amount of ['15.00', '5.00', '5.01']) {
    const fields = probe.withClaims(chain, { authorization_details: [pay(amount)] });
    const { answer } = await probe.present(fields, { path: '/transfer/8' });
    expect(answer.status, answer.body).toBe(200);
  }
  const finding = await eventually(async () => {
    const { findings } = await running.query.listFindings({ openOnly: true, limit: 100, afterId: 0 });
    return findings.find(({ kind }) => kind === 'details_overspent') ?? null;
  });
  expect(JSON.parse(finding.detail)).toMatchObject({ signer: workload('probe'), links: 3 });
});

test('a link with more than its parent is refused by the receiver, whoever signed it', async () => {
  const other = await startProbe(running, await tokenFor(pay('9.00')));
  const chain = await other.chain(workload('back'), JSON.stringify([pay('9.00')]));
  const more = other.withClaims(chain, { authorization_details: [pay('9.01')] });
  const { answer } = await other.present(more, { path: '/transfer/9' });
  expect([answer.status, answer.code]).toEqual([403, 'delegation_scope_widened']);
  await other.identity.close();
});
