/** The words of an explanation, for calls that a test makes up: outcomes, both sides, what policy said. */
import { expect, test } from 'vitest';
import { sampleHop } from '../../audit/testing/sample-events.ts';
import type { Hop } from '../../proto/behalf/audit/v1/audit.ts';
import type { ExplainResponse } from '../../proto/behalf/decision/v1/decision.ts';
import type { HopView, SideReport } from '../hops/hop-view.ts';
import type { CallAccount } from './explain-call.ts';
import { tellCall } from './tell-call.ts';

const FRONT = 'spiffe://test.example/front';
const BACK = 'spiffe://test.example/back';

test('policy without such an edge says so, with the owners of both ends', () => {
  const told = tell({
    decidedThen: explained({ code: 'policy_denied', hasEdge: false }),
    callee: refused('policy_denied'),
  });
  expect(told).toContain('Refused: policy_denied, by the sidecar of back.');
  expect(told).toContain('Policy has no edge front → back (back is of team-b, front is of team-f).');
});

test('no policy that permits, and a policy that forbids, are told apart', () => {
  const callee = refused('policy_denied');
  expect(tell({ decidedThen: explained({ code: 'policy_denied' }), callee })).toContain('No policy permits it');
  const policies = [{ id: 'no-nights', effect: 'forbid', owner: 'team-x', reason: 'closed at night', text: '' }];
  expect(tell({ decidedThen: explained({ code: 'policy_denied', policies }), callee })).toContain(
    'Policy no-nights forbids it (of team-x: closed at night).',
  );
});

test('a decision that comes out otherwise today, or came out otherwise then, is said', () => {
  const told = tell({
    decidedThen: explained({ code: '' }),
    decidedNow: explained({ code: '', number: 9 }),
    callee: refused('policy_denied'),
  });
  expect(told).toContain('Decided again under that snapshot it is allowed, not policy_denied: look into it.');
  expect(told).toContain('Under the snapshot in force now, 9, it would be allowed.');
});

test('a snapshot that is not kept leaves it at that', () => {
  const decidedThen = { ...explained({ code: '' }), snapshotKnown: false, snapshotNumber: 3 };
  expect(tell({ decidedThen })).toContain('The collector no longer keeps snapshot 3');
});

test('a refusal before policy says that policy was not asked, and what to do', () => {
  const told = tell({ decidedThen: null, callee: { ...refused('delegation_expired'), skewMs: -42_000 } });
  expect(told).toContain('Policy was not asked');
  expect(told).toContain('the peer’s clock was 42.00 s behind');
  expect(told).toContain('mend that clock');
});

test('sides that differ, and a side that is missing, are said', () => {
  expect(tell({ callee: { scope: 'notes:read' }, caller: { scope: 'notes:read notes:write' } })).toContain(
    'The sides differ, front against back: scope "notes:read notes:write" against "notes:read".',
  );
  expect(tell({ caller: null })).toContain('front has not told of its side: a finding, if it stays so.');
  expect(tell({ callee: null })).toContain('back has not told of its side: a finding, if it stays so.');
});

test('text of others cannot move the cursor', () => {
  const personal = {
    ...(sampleHop().hop.personal as NonNullable<Hop['personal']>),
    clientId: 'a\u001b[2J',
    purpose: '\u0007',
  };
  for (const character of ['\u001b', '\u0007']) expect(tell({ callee: { personal } })).not.toContain(character);
});

interface Made {
  readonly decidedThen?: ExplainResponse | null;
  readonly decidedNow?: ExplainResponse | null;
  readonly callee?: Partial<Hop> | null;
  readonly caller?: Partial<Hop> | null;
}

function tell({ decidedThen = explained({ code: '' }), decidedNow = null, callee = {}, caller = {} }: Made): string {
  const sides = [
    ...(caller === null ? [] : [side('SIDE_CALLER', FRONT, caller)]),
    ...(callee === null ? [] : [side('SIDE_CALLEE', BACK, callee)]),
  ];
  const view: HopView = {
    id: 'AAAAAAAAAAAAAAAA',
    parent: null,
    request: 'r',
    sides,
    ends: [],
    main: sides.at(-1) as SideReport,
  };
  const account: CallAccount = {
    view,
    chain: null,
    decidedThen,
    decidedNow,
    losses: [],
    consent: null,
    putOff: [],
    revocations: [],
    names: new Map(),
  };
  return tellCall(account)
    .flatMap(({ lines }) => lines)
    .join('\n');
}

function side(which: Hop['side'], reporter: string, change: Partial<Hop>): SideReport {
  const hop = {
    ...sampleHop().hop,
    side: which,
    caller: FRONT,
    callee: BACK,
    code: '',
    outcome: 'OUTCOME_FORWARDED',
    refusedBy: '',
    scope: 'notes:read',
    chainId: Buffer.alloc(16),
    ...change,
  } as const;
  return { index: 1, reporter, timeUs: 1_800_000_000e6, hop };
}

function refused(code: string): Partial<Hop> {
  return { code, outcome: 'OUTCOME_REFUSED', refusedBy: BACK };
}

function explained({
  code,
  number = 4,
  hasEdge = true,
  policies = [],
}: {
  code: string;
  number?: number;
  hasEdge?: boolean;
  policies?: ExplainResponse['policies'];
}): ExplainResponse {
  return {
    snapshotKnown: true,
    snapshotNumber: number,
    snapshotInForce: number,
    issuedAtS: 0,
    decision: {
      allow: code === '',
      code,
      policies: policies.map(({ id }) => id),
      route: 'GET /',
      snapshotNumber: number,
    },
    why: '',
    policies,
    neededScopes: [],
    missingScopes: [],
    hasEdge,
    edgeNarrows: false,
    edgeScopes: [],
    service: { id: BACK, name: 'back', owner: 'team-b', reason: '' },
    caller: { id: FRONT, name: 'front', owner: 'team-f', reason: '' },
    entryKnown: false,
    entryCeiling: [],
    entryRouteKnown: false,
    entryRouteScopes: [],
  };
}
