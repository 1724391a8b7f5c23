import { randomBytes } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { codeOf } from '../../../errors/index.ts';
import { traceParentOf } from '../../facts/index.ts';
import { newHopRecord } from '../../report/hop-record.ts';
import { fieldOf, type RequestHead } from '../head.ts';
import { newMeshCall } from '../mesh-call.ts';
import { type ContextTable, type ContextTableOptions, createContextTable } from './context.ts';
import { beginTrace, noteTrace, takeTrace } from './traces.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SENT = `00-${TRACE}-00f067aa0ba902b7-01`;
const tables: ContextTable[] = [];

afterEach(() => {
  for (const table of tables.splice(0)) table.close();
});

function env(options: ContextTableOptions) {
  const contexts = createContextTable(options);
  tables.push(contexts);
  return { contexts, random: randomBytes };
}

function request(...headers: string[]): RequestHead {
  return { method: 'GET', target: '/', authority: 'a', headers, protocol: 'http/1.1' };
}

function codeThrown(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    return codeOf(error);
  }
}

function newCall() {
  const hop = { hop: '', parent: null, request: '' };
  const about = { side: 'SIDE_ENTRY', caller: '', callee: '', method: 'GET', protocol: 'http/1.1', hop } as const;
  return newMeshCall('outside', newHopRecord(about), 0);
}

test('an entry never goes on with the trace id from outside: it begins one, on record beside that which it leaves', () => {
  for (const options of [{}, { traceIds: {} }]) {
    const call = newCall();
    const { head, link } = beginTrace(env(options), call, request('traceparent', SENT, 'tracestate', 'a=1', 'x', 'y'));
    const begun = traceParentOf(head.headers);
    expect(begun?.traceId).not.toBe(TRACE);
    expect(begun?.isSampled).toBe(true);
    expect(fieldOf(head.headers, 'tracestate')).toBeNull();
    expect(link).toBe(SENT);
    expect(call.records[0]).toMatchObject({ traceId: begun?.traceId, outsideTraceId: TRACE });
  }
});

test('an entry removes what is no valid traceparent, and begins a trace for it only where trace ids are read', () => {
  const headers = ['traceparent', SENT, 'traceparent', SENT];
  expect(beginTrace(env({}), newCall(), request(...headers)).head.headers).toEqual([]);
  expect(beginTrace(env({}), newCall(), request('x', 'y')).head.headers).toEqual(['x', 'y']);
  const { head, link } = beginTrace(env({ traceIds: {} }), newCall(), request(...headers));
  expect(traceParentOf(head.headers)).not.toBeNull();
  expect(link).toBeNull();
});

test('a peer’s traceparent stays as it is; where there is no usable one the app gets one to pass on', () => {
  const reading = env({ traceIds: {} });
  const call = newCall();
  const head = request('traceparent', SENT);
  expect(takeTrace(reading, call, head, 'p')).toBe(head);
  expect(call.traceId).toBe(TRACE);
  const without = newCall();
  const given = takeTrace(reading, without, request('traceparent', 'x'), 'p');
  expect(traceParentOf(given.headers)?.traceId).toBe(without.traceId);
  const notReading = newCall();
  expect(takeTrace(env({}), notReading, head, 'p')).toBe(head);
  expect(notReading.traceId).toBeNull();
});

test('a request from outside leaves no trace id behind until it is let in', () => {
  const reading = env({ traceIds: { maxTotal: 1 } });
  for (let i = 0; i < 3; i += 1) beginTrace(reading, newCall(), request());
  const call = newCall();
  const { head } = beginTrace(reading, call, request());
  noteTrace(reading, call);
  const traceparent = ['traceparent', fieldOf(head.headers, 'traceparent') as string];
  // Noted, and of no request that was let in yet.
  expect(codeThrown(() => reading.contexts.resolve(traceparent))).toBe('context_unknown');
  expect(codeThrown(() => noteTrace(reading, { ...newCall(), traceId: 'f'.repeat(32) }))).toBe('context_limit');
});

test('a request is refused where its trace id cannot be remembered', () => {
  const full = env({ traceIds: { maxTotal: 1 } });
  takeTrace(full, newCall(), request('traceparent', SENT), 'p');
  expect(codeThrown(() => takeTrace(full, newCall(), request(), 'p'))).toBe('context_limit');
});
