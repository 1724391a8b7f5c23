import { expect, test } from 'vitest';
import { judgeCall, reportOf, type SeenCall, type SentRequests } from './judge-calls.ts';

const HANDLES = ['AAAAAAAAAAAAAAAAAAAAAA', 'BBBBBBBBBBBBBBBBBBBBBB'];
const TRACES = ['a'.repeat(32), 'b'.repeat(32)];
const sent: SentRequests = {
  count: 2,
  byHandle: new Map(HANDLES.map((handle, n) => [handle, n])),
  byTrace: new Map(TRACES.map((trace, n) => [trace, n])),
};
const traceParent = (n: number): string => `00-${TRACES[n]}-00f067aa0ba902b7-01`;
const call = (madeFor: number | null, ...headers: string[]): SeenCall => ({ headers, madeFor });
const judge = (one: SeenCall, readsTraceIds = false): string => judgeCall(one, sent, readsTraceIds).verdict;

test('a call is judged as a sidecar would, and against the request that it was made for', () => {
  expect(judge(call(0, 'delegation-context', HANDLES[0]!))).toBe('right');
  expect(judge(call(null, 'baggage', `x=1,dlg=${HANDLES[1]}`))).toBe('right');
  expect(judge(call(1, 'delegation-context', HANDLES[0]!))).toBe('wrong');
  expect(judge(call(0, 'delegation-context', HANDLES[0]!, 'baggage', `dlg=${HANDLES[1]}`))).toBe('mixed');
  expect(judge(call(0, 'delegation-context', HANDLES[0]!, 'delegation-context', HANDLES[0]!))).toBe('mixed');
  expect(judge(call(0, 'delegation-context', 'x'))).toBe('unknown');
  expect(judge(call(0, 'baggage', 'x=1'))).toBe('missing');
});

test('a trace id counts only where the sidecar reads them', () => {
  expect(judge(call(0, 'traceparent', traceParent(0)))).toBe('missing');
  expect(judge(call(0, 'traceparent', traceParent(0)), true)).toBe('right');
  expect(judge(call(0, 'delegation-context', HANDLES[0]!, 'traceparent', traceParent(1)), true)).toBe('mixed');
  expect(judge(call(0, 'delegation-context', HANDLES[0]!, 'traceparent', traceParent(1)))).toBe('right');
  expect(judge(call(0, 'traceparent', 'x'), true)).toBe('unknown');
});

test('an app passes where every call is right, and its way is the strongest that all of them had', () => {
  const both = (n: number) => call(n, 'delegation-context', HANDLES[n]!, 'baggage', `dlg=${HANDLES[n]}`);
  const report = reportOf([both(0), both(1), call(1, 'baggage', `dlg=${HANDLES[1]}`)], sent, {
    readsTraceIds: false,
    unanswered: 0,
  });
  expect(report).toMatchObject({ ok: true, way: 'baggage', ways: { context: 2, baggage: 3, trace: 0 }, bad: [] });
});

test('no call, a call that is not right, and a request without an answer are each a no', () => {
  const about = { readsTraceIds: false, unanswered: 0 };
  const good = call(0, 'delegation-context', HANDLES[0]!);
  expect(reportOf([], sent, about).ok).toBe(false);
  expect(reportOf([good, call(1)], sent, about)).toMatchObject({ ok: false, bad: [{ call: 1, verdict: 'missing' }] });
  expect(reportOf([good], sent, { ...about, unanswered: 1 }).ok).toBe(false);
});

test('calls that cannot be told apart are doubtful where some request was named by none of them', () => {
  const about = { readsTraceIds: false, unanswered: 0 };
  const named = (n: number) => call(null, 'delegation-context', HANDLES[n]!);
  expect(reportOf([named(0), named(0)], sent, about)).toMatchObject({ ok: false, unnamed: 1 });
  expect(reportOf([named(0), named(1)], sent, about).ok).toBe(true);
});
