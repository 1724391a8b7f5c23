/** A recorded chain is held against event, leaf and log: a collector that changes any of them is found. Over a real record and log. */
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chainIdOf, decodeEvent, encodeEvent, newSalt } from '../../audit/event/index.ts';
import { inclusionPath, leafHash } from '../../audit/merkle/index.ts';
import { sampleHop } from '../../audit/testing/sample-events.ts';
import { openTestRecord, type TestRecord } from '../../collector/testing/record.ts';
import { forge } from '../../delegation/test-forge.ts';
import { createTestMesh } from '../../delegation/test-mesh.ts';
import type { MeshBundle } from '../../identity/index.ts';
import type { ChainBody, EventBody, Hop, LoggedEvent } from '../../proto/behalf/audit/v1/audit.ts';
import { text } from '../hops/hop-view.ts';
import type { QueryClient } from '../hops/query.ts';
import type { Check } from './check.ts';
import { outcomeOf } from './check-list.ts';
import { findCall, judgeRecorded, revocationsNaming } from './recorded-chain.ts';

const NOW_S = 1_800_000_000;
const mesh = createTestMesh({ nowS: NOW_S });
const front = mesh.workload('storefront').spiffeId;
const orders = mesh.workload('orders').spiffeId;
const chain = bodyOf(forge(mesh, { hops: [{ to: 'orders' }] }));
const other = bodyOf(
  forge(mesh, { root: { txn: Buffer.alloc(16, 5).toString('base64url') }, hops: [{ to: 'orders' }] }),
);
const HOP = Buffer.alloc(12, 7);
const bundle = {
  trustDomain: mesh.trustDomain,
  issuer: mesh.issuer,
  rootKeys: new Map([[mesh.rootKey.kid, createPublicKey(mesh.rootKey.key)]]),
  witKeys: new Map([[mesh.witKey.kid, createPublicKey(mesh.witKey.key)]]),
} as unknown as MeshBundle;

let folder: string;
let record: TestRecord;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'behalf-recorded-'));
  record = await openTestRecord(folder);
  const seen = hopOf(chain.chainId);
  await record.put({
    reporter: front,
    firstSeq: 1,
    timeUs: NOW_S * 1e6 + 500_000,
    events: [{ body: 'hop', hop: { ...seen, side: 'SIDE_CALLER' } }],
    chains: [chain],
  });
  await record.put({
    reporter: orders,
    firstSeq: 1,
    timeUs: NOW_S * 1e6 + 500_000,
    events: [{ body: 'hop', hop: { ...seen, side: 'SIDE_CALLEE' } }],
    chains: [chain],
  });
  const revocation = { kind: 'workload', value: front, number: 1, by: 'operator', reason: 'lost' };
  await record.put({
    reporter: 'spiffe://shop.example/behalf/ca',
    firstSeq: 1,
    timeUs: NOW_S * 1e6 + 500_000,
    events: [{ body: 'revocation', revocation }],
  });
});

afterAll(() => {
  record.close();
  rmSync(folder, { recursive: true, force: true });
});

test('as it was recorded, everything of the log holds', async () => {
  const checks = await judged(honest());
  expect(ofLog(checks)).toEqual(Array(6).fill('ok'));
  expect(outcomeOf(checks)).toEqual({ kind: 'holds' });
});

test('another body than the events name is found, though every signature of it holds', async () => {
  const checks = await judged({
    ...honest(),
    getChain: swapped((chainAnswer) => ({ ...chainAnswer, chain: { ...other, chainId: chain.chainId } })),
  });
  expect(outcomeOf(checks)).toEqual({ kind: 'refused', code: 'log_inconsistent' });
  expect(ofLog(checks)).toEqual(['refused', 'ok', 'ok', 'refused', 'ok', 'ok']);
});

test('another body with events that name it is found by the leaves', async () => {
  const rename = ({ event, ...logged }: LoggedEvent): LoggedEvent => ({
    ...logged,
    event: withChain(event, other.chainId),
  });
  const getChain = swapped(({ events }) => ({ chain: other, events: events.map(rename) }));
  const checks = await judged({ ...honest(), getChain });
  expect(ofLog(checks)).toEqual(['ok', 'refused', 'ok', 'ok', 'refused', 'ok']);
});

test('an entry that is not the one in the log is found', async () => {
  const getInclusionProof: QueryClient['getInclusionProof'] = async (request) => {
    const proof = await honest().getInclusionProof(request);
    return { ...proof, path: [...proof.path].reverse() };
  };
  const checks = await judged({ ...honest(), getInclusionProof });
  expect(ofLog(checks)).toEqual(['ok', 'ok', 'refused', 'ok', 'ok', 'refused']);
});

test('a key that has left the bundle since is named, and nothing is claimed', async () => {
  const checks = await judged(honest(), { ...bundle, rootKeys: new Map() });
  expect(outcomeOf(checks)).toEqual({ kind: 'undecided' });
  expect(checks.find(({ check }) => check === 'root: signature')?.why).toBe('key `root-1` is no longer in the bundle');
});

test('what was taken back since is said', async () => {
  expect(await revocationsNaming(honest(), chain)).toMatchObject([{ kind: 'workload', value: front, reason: 'lost' }]);
});

async function judged(query: QueryClient, keys: MeshBundle = bundle): Promise<readonly Check[]> {
  const call = await findCall(query, text(HOP));
  if (call.chain === null) throw new Error('no chain');
  const { checks } = await judgeRecorded(
    { ...call, chain: call.chain },
    { query, bundle: { ...keys, logKeys: [record.vkey] } },
  );
  return checks;
}

function ofLog(checks: readonly Check[]): string[] {
  return checks.filter(({ step }) => step === 'log').map(({ verdict }) => verdict);
}

/** The collector's answers, straight from its record. */
function honest(): QueryClient {
  const { reader, ledger } = record;
  return {
    getChain: async ({ hopId = HOP }: { hopId?: Buffer }) => reader.chainOfHop(hopId),
    listEvents: async ({ kind }: { kind?: string }) => ({
      events: kind === 'revocation' ? reader.events({ kind: null, fromIndex: 0, sinceUs: 0 }, 100) : [],
      more: false,
    }),
    getInclusionProof: async ({ index = 0 }: { index?: number }) => {
      const entry = reader.entry(index) as Buffer;
      const size = ledger.size();
      return {
        checkpoint: ledger.checkpoint(),
        index,
        leafHash: leafHash(entry),
        path: inclusionPath(index, size, ledger.subtrees(size)),
        entry,
      };
    },
  } as unknown as QueryClient;
}

type ChainAnswer = Awaited<ReturnType<QueryClient['getChain']>>;

function swapped(change: (answer: ChainAnswer) => ChainAnswer): QueryClient['getChain'] {
  return async (request) => change(await honest().getChain(request));
}

function withChain(event: Buffer, chainId: Buffer): Buffer {
  const decoded = decodeEvent(event);
  return decoded.body === 'hop' ? encodeEvent({ ...decoded, hop: { ...decoded.hop, chainId } }) : event;
}

function bodyOf(headers: ReturnType<typeof forge>): ChainBody {
  return { ...headers, chainId: chainIdOf(headers) };
}

function hopOf(chainId: Buffer): Hop {
  const { hop } = sampleHop() as EventBody & { readonly body: 'hop' };
  const personal = { ...(hop.personal as NonNullable<Hop['personal']>), salt: newSalt() };
  return {
    ...hop,
    hopId: HOP,
    caller: front,
    callee: orders,
    chainId,
    personal,
    route: 'GET /orders',
    code: '',
    outcome: 'OUTCOME_FORWARDED',
    goesOn: false,
    durationUs: 1_000,
  };
}
