/** How an app names its request, over real sidecars: trace ids from outside never count, and policy says which way is too weak. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Hop } from '../proto/behalf/audit/v1/audit.ts';
import { peersMesh } from './drills/interleave/peers-mesh.ts';
import { eventually, type RunningMesh, runMesh } from './mesh/running-mesh.ts';
import { readyPeers } from './peers/peers.ts';

const OUTSIDE_TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const OUTSIDE = `00-${OUTSIDE_TRACE}-00f067aa0ba902b7-01`;

let running: RunningMesh;
let token: string;

beforeAll(async () => {
  const peers = await readyPeers(['node-otel', 'node-trace']);
  running = await runMesh((dir) => peersMesh(dir, peers, { ada: 'password of ada' }, 'minContext: baggage'));
  token = (await running.signIn('ada', 'password of ada')).accessToken;
});
afterAll(() => running?.stop());

async function ask(way: string, headers: Record<string, string> = {}): Promise<{ status: number; answer: Answer }> {
  const response = await fetch(`${running.service(way).entry}/fields`, {
    method: 'POST',
    body: 'ab',
    headers: { Authorization: `Bearer ${token}`, ...headers },
  });
  return { status: response.status, answer: (await response.json()) as Answer };
}

/** The first such hop, once it is delivered. */
function onRecord(isIt: (hop: Hop) => boolean): Promise<Hop> {
  return eventually(async () => {
    const hops = (await running.hops()).flatMap(({ event }) => (event.body === 'hop' ? [event.hop] : []));
    return hops.find(isIt) ?? null;
  });
}

interface Answer {
  readonly code?: string;
  readonly fields?: readonly string[];
}

test('what is weaker than the policy demands is refused with context_too_weak, and stands on record so', async () => {
  expect((await ask('node-otel')).status).toBe(200);
  const { status, answer } = await ask('node-trace');
  expect([status, answer.code]).toEqual([403, 'context_too_weak']);
  const refused = await onRecord(({ code, side }) => code === 'context_too_weak' && side === 'SIDE_CALLER');
  expect(refused.carrier).toBe('trace');
  await onRecord(({ carrier, code }) => carrier === 'baggage' && code === '');
});

test('an entry goes on with a trace of its own, and the record links it to the one outside', async () => {
  const { answer } = await ask('node-otel', { traceparent: OUTSIDE, tracestate: 'vendor=1' });
  const fields = answer.fields ?? [];
  const inside = fields[fields.findIndex((name) => name.toLowerCase() === 'traceparent') + 1] ?? '';
  expect(inside).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(inside).not.toContain(OUTSIDE_TRACE);
  expect(fields.map((name) => name.toLowerCase())).not.toContain('tracestate');
  const entry = await onRecord(({ outsideTraceId }) => outsideTraceId.toString('hex') === OUTSIDE_TRACE);
  expect([entry.side, entry.traceId.toString('hex')]).toEqual(['SIDE_ENTRY', inside.split('-')[1]]);
});
