import { expect, test } from 'vitest';
import { encodeEvent } from '../../audit/event/index.ts';
import { sampleHop } from '../../audit/testing/sample-events.ts';
import type { Hop, LoggedEvent } from '../../proto/behalf/audit/v1/audit.ts';
import { foldAlike } from './fold-alike.ts';
import { groupByRequest, joinHops } from './hop-view.ts';

const id = (number: number): Buffer => Buffer.alloc(12, number);

/** One call, a request of its own unless told otherwise; each with other ids and times. */
function call(number: number, hop: Partial<Hop> = {}): LoggedEvent {
  const event = encodeEvent({
    body: 'hop',
    hop: {
      ...sampleHop().hop,
      hopId: id(number),
      requestId: id(100 + number),
      parentHopId: Buffer.alloc(0),
      ...hop,
    },
    seq: number,
    epoch: Buffer.alloc(16, 1),
    timeUs: 1_000_000 * number,
  });
  return { index: number, reporter: hop.callee ?? '', event, entry: Buffer.alloc(0) };
}

const shapes = (events: readonly LoggedEvent[]): number[] =>
  foldAlike(groupByRequest(joinHops(events))).map(({ more }) => 1 + more.length);

test('requests in a row that differ in ids and times alone are one, whatever order they were reported in', () => {
  expect(shapes([call(3), call(1), call(2)])).toEqual([3]);
});

test('whether gRPC status 0 was known with the head makes no difference', () => {
  expect(shapes([call(1, { grpcStatusPlusOne: 0 }), call(2, { grpcStatusPlusOne: 1 })])).toEqual([2]);
});

test.each<[string, Partial<Hop>]>([
  ['a gRPC failure', { grpcStatusPlusOne: 8 }],
  ['another route', { route: 'GET /elsewhere' }],
  ['another caller', { caller: 'spiffe://shop.example/other' }],
  ['less scope', { scope: 'orders:read' }],
  ['another answer', { httpStatus: 404 }],
  ['a refusal', { outcome: 'OUTCOME_REFUSED', code: 'policy_denied' }],
  ['another person', { personal: { ...sampleHop().hop.personal!, subject: 'u:somebody' } }],
])('%s stands alone, and parts those before it from those after', (_, other) => {
  expect(shapes([call(1), call(2), call(3, other), call(4)])).toEqual([2, 1, 1]);
});

test('the same calls in another tree are another request', () => {
  const flat = [call(1, { requestId: id(90) }), call(2, { requestId: id(90) })];
  const deep = [call(3, { requestId: id(91) }), call(4, { requestId: id(91), parentHopId: id(3) })];
  expect(shapes([...flat, ...deep])).toEqual([1, 1]);
});
