/**
 * Whether an app passes context on, judged by the calls that it made. Pure: `harness.ts` sends the requests and sees the calls. A
 * call is judged as a sidecar would (WIRE section 5), and, where it is known for which request the app made it, against that.
 */
import { dlgValues, traceParentOf } from '../../sidecar/facts/index.ts';

/** One call of the app, as it came in. */
export interface SeenCall {
  /** Names in lower case and values, one after the other. */
  readonly headers: readonly string[];
  /** Number of the request that it was made for, where the app sent or gave back something that tells; else null. */
  readonly madeFor: number | null;
}

/** What the app was sent: requests by what stands for them. */
export interface SentRequests {
  readonly count: number;
  readonly byHandle: ReadonlyMap<string, number>;
  readonly byTrace: ReadonlyMap<string, number>;
}

export type Way = 'context' | 'baggage' | 'trace';
/**
 * `right`: the sidecar would find the request. `wrong`: it would find another one. `mixed`: its carriers name several. `missing`:
 * it has none. `unknown`: one of them names no request.
 */
export type CallVerdict = 'right' | 'wrong' | 'mixed' | 'missing' | 'unknown';

export interface JudgedCall {
  readonly verdict: CallVerdict;
  /** Carriers that are there. */
  readonly ways: readonly Way[];
}

export interface ContextReport {
  readonly ok: boolean;
  readonly requests: number;
  readonly calls: number;
  /** Calls of which it is known for which request they were made. */
  readonly paired: number;
  /** Requests that no call named, though others were. */
  readonly unnamed: number;
  /** Calls that had this carrier. */
  readonly ways: Readonly<Record<Way, number>>;
  readonly verdicts: Readonly<Record<CallVerdict, number>>;
  /** The strongest carrier that every call had; null where none. */
  readonly way: Way | null;
  /** Requests that the app did not answer. */
  readonly unanswered: number;
  /** The first calls that are not right. */
  readonly bad: readonly BadCall[];
}

/** Numbers are of requests, from 0. */
export interface BadCall extends JudgedCall {
  readonly call: number;
  readonly madeFor: number | null;
  readonly named: readonly number[];
}

const MAX_BAD_TOLD = 20;

/** One call. `readsTraceIds`: as a sidecar with `context.traceId`. */
export function judgeCall({ headers, madeFor }: SeenCall, sent: SentRequests, readsTraceIds: boolean): JudgedCall {
  const named: (number | undefined)[] = [];
  const ways: Way[] = [];
  let contexts = 0;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === 'delegation-context') {
      contexts += 1;
      named.push(sent.byHandle.get(headers[i + 1] as string));
    } else if (headers[i] === 'baggage') {
      const values = dlgValues(headers[i + 1] as string);
      if (values.length > 0 && !ways.includes('baggage')) ways.push('baggage');
      for (const handle of values) named.push(sent.byHandle.get(handle));
    }
  }
  if (contexts > 0) ways.unshift('context');
  if (headers.includes('traceparent')) {
    const request = sent.byTrace.get(traceParentOf(headers)?.traceId ?? '');
    if (request !== undefined) ways.push('trace');
    if (readsTraceIds) named.push(request);
  }
  return { verdict: verdictOf(named, contexts, madeFor), ways };
}

function verdictOf(named: readonly (number | undefined)[], contexts: number, madeFor: number | null): CallVerdict {
  const [first] = named;
  if (named.length === 0) return 'missing';
  if (first === undefined || named.includes(undefined)) return 'unknown';
  if (contexts > 1 || named.some((one) => one !== first)) return 'mixed';
  return madeFor === null || madeFor === first ? 'right' : 'wrong';
}

/** All of them. */
export function reportOf(
  calls: readonly SeenCall[],
  sent: SentRequests,
  { readsTraceIds, unanswered }: { readonly readsTraceIds: boolean; readonly unanswered: number },
): ContextReport {
  const ways: Record<Way, number> = { context: 0, baggage: 0, trace: 0 };
  const verdicts: Record<CallVerdict, number> = { right: 0, wrong: 0, mixed: 0, missing: 0, unknown: 0 };
  const named = new Set<number>();
  const bad: BadCall[] = [];
  for (const [at, call] of calls.entries()) {
    const judged = judgeCall(call, sent, readsTraceIds);
    verdicts[judged.verdict] += 1;
    for (const way of judged.ways) ways[way] += 1;
    const requests = [...new Set(requestsNamed(call, sent))];
    for (const request of requests) named.add(request);
    if (judged.verdict !== 'right' && bad.length < MAX_BAD_TOLD) {
      bad.push({ call: at, madeFor: call.madeFor, named: requests, ...judged });
    }
  }
  const paired = calls.filter(({ madeFor }) => madeFor !== null).length;
  const unnamed = named.size === 0 ? 0 : sent.count - named.size;
  const way = (['context', 'baggage', 'trace'] as const).find((one) => calls.length > 0 && ways[one] === calls.length);
  // Where calls cannot be told apart, a request that none of them named may have been another's.
  const doubtful = paired < calls.length && unnamed > 0;
  const ok = calls.length > 0 && verdicts.right === calls.length && !doubtful && unanswered === 0;
  return {
    ok,
    requests: sent.count,
    calls: calls.length,
    paired,
    unnamed,
    ways,
    verdicts,
    way: way ?? null,
    unanswered,
    bad,
  };
}

function requestsNamed({ headers }: SeenCall, { byHandle, byTrace }: SentRequests): number[] {
  const named: (number | undefined)[] = [byTrace.get(traceParentOf(headers)?.traceId ?? '')];
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1] as string;
    if (headers[i] === 'delegation-context') named.push(byHandle.get(value));
    if (headers[i] === 'baggage') for (const handle of dlgValues(value)) named.push(byHandle.get(handle));
  }
  return named.filter((request) => request !== undefined);
}
