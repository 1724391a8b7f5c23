/** What ends a running call. */
import { afterEach, expect, test, vi } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { newHopRecord } from '../report/hop-record.ts';
import { type MeshCall, newMeshCall } from './mesh-call.ts';
import { createRunningCalls, type RunningCalls } from './streams.ts';

let now = 1_000;
let stale: 'none' | 'authority' | 'ca' = 'none';
let over = false;
let calls: RunningCalls | null = null;

afterEach(() => {
  calls?.close();
  vi.useRealTimers();
  stale = 'none';
  over = false;
  now = 1_000;
});

function open(): RunningCalls {
  vi.useFakeTimers();
  calls = createRunningCalls({
    onFailure: () => undefined,
    isSnapshotOver: () => over,
    checkFresh(delegated) {
      if (stale === 'ca' || (stale === 'authority' && delegated))
        throw new BehalfError('revocation_stale', { source: stale });
    },
    maxAgeS: () => 60,
    maxPerPeer: 2,
    nowS: () => now,
  });
  return calls;
}

function running(delegated: boolean): { call: MeshCall; ends: string[] } {
  const hop = { hop: 'A'.repeat(16), parent: null, request: 'B'.repeat(16) };
  const record = newHopRecord({ side: 'SIDE_CALLEE', caller: '', callee: '', method: 'GET', protocol: 'h2', hop });
  const call = newMeshCall('mesh', record, now);
  const ends: string[] = [];
  call.delegated = delegated;
  call.end = (error) => ends.push(error.code);
  call.revocable = {
    root: {
      iat: 900,
      kid: 'k',
      txn: 't',
      sub: 'u:1',
      client: 'c',
      consent: 'x',
      consentVersion: 2,
      grant: 'g',
      deferred: null,
    },
    signers: [{ iat: 950, workload: 'spiffe://a/b', certificate: 'cert', jti: 'j', kid: 'w' }],
  };
  return { call, ends };
}

test('a revocation of anything that the call names ends it with its code, and no other', () => {
  const index = open();
  const kinds = { txn: 't', sub: 'u:1', client: 'c', grant: 'g' } as const;
  for (const [kind, value] of Object.entries(kinds)) {
    const { call, ends } = running(true);
    index.add(call);
    expect(index.revoke({ kind: kind as keyof typeof kinds, value, before: 899 }, 'authority')).toBe(0);
    expect(index.revoke({ kind: kind as keyof typeof kinds, value: 'other', before: 2_000 }, 'authority')).toBe(0);
    expect(index.revoke({ kind: kind as keyof typeof kinds, value, before: 900 }, 'ca')).toBe(0);
    expect(index.revoke({ kind: kind as keyof typeof kinds, value, before: 900 }, 'authority')).toBe(1);
    expect(ends).toEqual(['delegation_revoked']);
    index.remove(call);
  }
  const { call, ends } = running(true);
  index.add(call);
  expect(index.revoke({ kind: 'consent', value: 'x', before: 0, version: 2 }, 'authority')).toBe(0);
  expect(index.revoke({ kind: 'consent', value: 'x', before: 0, version: 3 }, 'authority')).toBe(1);
  expect(index.revoke({ kind: 'workload', value: 'spiffe://a/b', before: 950 }, 'ca')).toBe(1);
  expect(ends).toEqual(['consent_withdrawn', 'delegation_revoked']);
});

test('live state of the authority that is stale ends delegated calls, that of the CA ends all', () => {
  const index = open();
  const user = running(true);
  const plain = running(false);
  index.add(user.call);
  index.add(plain.call);
  vi.advanceTimersByTime(1_000);
  expect([user.ends, plain.ends]).toEqual([[], []]);
  stale = 'authority';
  vi.advanceTimersByTime(250);
  expect([user.ends, plain.ends]).toEqual([['revocation_stale'], []]);
  stale = 'ca';
  vi.advanceTimersByTime(250);
  expect(plain.ends).toEqual(['revocation_stale']);
});

test('a call that reaches the longest life of a stream is ended with stream_expired', () => {
  const index = open();
  const { call, ends } = running(true);
  index.add(call);
  now += 59;
  vi.advanceTimersByTime(250);
  expect(ends).toEqual([]);
  now += 2;
  vi.advanceTimersByTime(250);
  expect(ends).toEqual(['stream_expired']);
});

test('under a new snapshot each running call is judged again', () => {
  const index = open();
  const { call, ends } = running(true);
  index.add(call);
  call.stillAllowed = () => null;
  index.rejudge();
  call.stillAllowed = () => new BehalfError('policy_denied');
  index.rejudge();
  expect(ends).toEqual(['policy_denied']);
});

test('a call that throws while it is being ended keeps no other from its end', () => {
  const index = open();
  const broken = running(true);
  const sound = running(true);
  broken.call.end = () => {
    throw new Error('cannot be ended');
  };
  index.add(broken.call);
  index.add(sound.call);
  expect(index.revoke({ kind: 'sub', value: 'u:1', before: 950 }, 'authority')).toBe(2);
  expect(sound.ends).toEqual(['delegation_revoked']);
});

test('a revocation before anyone can end the call is remembered in it', () => {
  const index = open();
  const { call } = running(true);
  call.end = null;
  index.add(call);
  index.revoke({ kind: 'sub', value: 'u:1', before: 950 }, 'authority');
  expect(call.ending?.code).toBe('delegation_revoked');
});

test('calls end when the policy snapshot is past its end', () => {
  const index = open();
  const { call, ends } = running(false);
  index.add(call);
  over = true;
  vi.advanceTimersByTime(300);
  expect(ends[0]).toBe('snapshot_stale');
});
