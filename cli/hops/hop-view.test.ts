import { expect, test } from 'vitest';
import { encodeEvent } from '../../audit/event/index.ts';
import { sampleHop } from '../../audit/testing/sample-events.ts';
import type { Hop, HopEnd, LoggedEvent } from '../../proto/behalf/audit/v1/audit.ts';
import { styleFor } from '../draw/style.ts';
import { drawRequest, hopJson } from './draw-hops.ts';
import { groupByRequest, isRefused, joinHops } from './hop-view.ts';

const PLAIN = styleFor({ isTTY: false }, true);
const id = (number: number): Buffer => Buffer.alloc(12, number);
const REQUEST = id(99);

let index = 0;
function logged(hop: Partial<Hop>, timeUs = 1_000_000): LoggedEvent {
  const event = encodeEvent({
    body: 'hop',
    hop: {
      ...sampleHop().hop,
      requestId: REQUEST,
      parentHopId: Buffer.alloc(0),
      code: '',
      refusedBy: '',
      outcome: 'OUTCOME_FORWARDED',
      ...hop,
    },
    seq: 1,
    epoch: Buffer.alloc(16, 1),
    timeUs,
  });
  return {
    index: index++,
    reporter: hop.side === 'SIDE_CALLEE' ? (hop.callee ?? '') : (hop.caller ?? ''),
    event,
    entry: Buffer.alloc(0),
  };
}

const A = 'spiffe://shop.example/a';
const B = 'spiffe://shop.example/b';

test('both sides of a call are one hop, and the callee’s account is the main one', () => {
  const [hop, ...more] = joinHops([
    logged({ hopId: id(1), side: 'SIDE_CALLER', caller: A, callee: B, durationUs: 900 }),
    logged({ hopId: id(1), side: 'SIDE_CALLEE', caller: A, callee: B, durationUs: 500 }),
  ]);
  expect(more).toEqual([]);
  expect(hop?.sides).toHaveLength(2);
  expect(hop?.main.hop.side).toBe('SIDE_CALLEE');
});

test('calls of one request are a tree, in the order of time', () => {
  const hops = joinHops([
    logged({ hopId: id(3), parentHopId: id(1), side: 'SIDE_CALLER', caller: A, callee: B }, 3_000_000),
    logged({ hopId: id(1), side: 'SIDE_ENTRY', caller: '', callee: A }, 4_000_000),
    logged({ hopId: id(2), parentHopId: id(1), side: 'SIDE_CALLER', caller: A, callee: B }, 2_000_000),
  ]);
  const [request] = groupByRequest(hops);
  expect(request?.roots.map((hop) => hop.id)).toEqual([id(1).toString('base64url')]);
  expect(request?.children.get(id(1).toString('base64url'))?.map((hop) => hop.id)).toEqual(
    [id(2), id(3)].map((one) => one.toString('base64url')),
  );
});

test('parents in a circle, or that are not there, hide no call and end the drawing', () => {
  const hops = joinHops([
    logged({ hopId: id(1), parentHopId: id(2), side: 'SIDE_CALLER', caller: A, callee: B }),
    logged({ hopId: id(2), parentHopId: id(1), side: 'SIDE_CALLER', caller: B, callee: A }),
    logged({ hopId: id(3), parentHopId: id(3), side: 'SIDE_CALLER', caller: A, callee: B }),
    logged({ hopId: id(4), parentHopId: id(77), side: 'SIDE_CALLER', caller: A, callee: B }),
  ]);
  const [request] = groupByRequest(hops);
  const drawn = drawRequest(request!, PLAIN, (subject) => subject).join('\n');
  for (const number of [1, 2, 3, 4]) expect(drawn.split(id(number).toString('base64url'))).toHaveLength(2);
});

test('a refusal is drawn with its code and whose sidecar made it', () => {
  const [request] = groupByRequest(
    joinHops([
      logged({
        hopId: id(1),
        side: 'SIDE_CALLEE',
        caller: A,
        callee: B,
        outcome: 'OUTCOME_REFUSED',
        code: 'policy_denied',
        refusedBy: B,
      }),
    ]),
  );
  expect(isRefused(request!.hops[0]!)).toBe(true);
  expect(drawRequest(request!, PLAIN, (subject) => subject).join('\n')).toMatch(
    /a → b .* refused: policy_denied by the sidecar of b/,
  );
  expect(hopJson(request!.hops[0]!)).toMatchObject({ refused: true, code: 'policy_denied', refusedBy: B });
});

test('a running call that was ended says so with its code', () => {
  const end: HopEnd = {
    hopId: id(1),
    side: 'SIDE_CALLEE',
    outcome: 'OUTCOME_ENDED',
    code: 'consent_withdrawn',
    bytesIn: 0,
    bytesOut: 9,
    durationUs: 2_000_000,
    grpcStatusPlusOne: 0,
    requestId: REQUEST,
  };
  const ended: LoggedEvent = {
    index: 50,
    reporter: B,
    event: encodeEvent({ body: 'hopEnd', hopEnd: end, seq: 2, epoch: Buffer.alloc(16, 1), timeUs: 5 }),
    entry: Buffer.alloc(0),
  };
  const [request] = groupByRequest(
    joinHops([logged({ hopId: id(1), side: 'SIDE_CALLEE', caller: A, callee: B, goesOn: true }), ended]),
  );
  expect(isRefused(request!.hops[0]!)).toBe(true);
  expect(drawRequest(request!, PLAIN, (subject) => subject).join('\n')).toMatch(
    /ended while it ran: consent_withdrawn after 2.00 s/,
  );
});

test('text of reporters cannot move the cursor of a terminal', () => {
  const [request] = groupByRequest(
    joinHops([
      logged({
        hopId: id(1),
        side: 'SIDE_CALLEE',
        caller: `${A}\x1b[2J`,
        callee: B,
        route: 'GET /\x1b]0;x\x07',
        scope: 'a\x9bb',
        policies: ['p\n'],
      }),
    ]),
  );
  const drawn = drawRequest(request!, PLAIN, (subject) => subject).join('');
  expect([...drawn].filter((character) => character < ' ' || (character >= '\x7f' && character <= '\x9f'))).toEqual([]);
});
