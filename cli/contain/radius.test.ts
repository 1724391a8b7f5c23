import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { ORDERS, PAYMENTS, sampleHop, samplePersonal } from '../../audit/testing/sample-events.ts';
import type { Event, EventBody, Hop, Personal } from '../../proto/behalf/audit/v1/audit.ts';
import { styleFor } from '../draw/style.ts';
import { drawRadius } from './draw-radius.ts';
import { radiusSvg } from './draw-radius-svg.ts';
import { type Notice, noticesOf } from './notices.ts';
import { type BlastRadius, blastRadius, mayMatter } from './radius.ts';
import { svg, writeSvg } from './svg.ts';
import { oneTarget, parseSince, type Target, type TargetKind } from './target.ts';

const FRONT = 'spiffe://shop.example/ns/demo/sa/front';
const ADA = 'u:adaadaadaadaadaadaada0';
const BOB = 'u:bobbobbobbobbobbobbob0';
const WINDOW = { sinceUs: 1_000, untilUs: 1_000_000, complete: true };

let seq = 0;
function at(timeUs: number, body: EventBody): Event {
  seq += 1;
  return { ...body, timeUs, seq, epoch: Buffer.alloc(16) };
}

function hop(timeUs: number, overrides: Partial<Hop> = {}, personal: Partial<Personal> | null = {}): Event {
  const who = personal === null ? null : samplePersonal({ subject: ADA, ...personal });
  return at(timeUs, sampleHop({ personal: who, ...overrides }));
}

const target = (kind: TargetKind, value: string): Target => ({ kind, value, label: value });
const radiusOf = (one: Target, events: Event[]): BlastRadius => blastRadius(one, events, WINDOW);

test('both sides of a hop count once, and the callee’s account of it is the one that counts', () => {
  const hopId = randomBytes(12);
  const requestId = randomBytes(12);
  const events = [
    hop(10_000, { hopId, requestId, side: 'SIDE_CALLER', route: '' }),
    hop(10_001, { hopId, requestId, side: 'SIDE_CALLEE', route: 'POST /charges/{id}' }),
    hop(20_000, { requestId, side: 'SIDE_CALLEE', route: 'POST /charges/{id}', scope: 'payments:charge' }),
  ];
  for (const given of [events, events.toReversed()]) {
    expect(radiusOf(target('workload', ORDERS), given)).toMatchObject({
      hops: 2,
      refused: 0,
      requests: 1,
      users: [
        { subject: ADA, hops: 2, requests: 1, services: [PAYMENTS], scopes: ['orders:write', 'payments:charge'] },
      ],
      services: [{ service: PAYMENTS, hops: 2, users: 1, routes: [{ route: 'POST /charges/{id}', hops: 2 }] }],
      edges: [{ from: ORDERS, to: PAYMENTS, hops: 2 }],
      scopes: [
        { scope: 'payments:charge', hops: 2 },
        { scope: 'orders:write', hops: 1 },
      ],
    });
  }
});

test('each kind of target touches what rests on it, and nothing else', () => {
  const serial = Buffer.from('00ab12', 'hex');
  const mine = { caller: FRONT, callee: ORDERS, txn: 'mine', actors: [FRONT], peerSerial: serial };
  const events = [
    hop(5_000, mine, { subject: BOB, clientId: 'other-app', consentId: 'c:2' }),
    // Further down the chain the workload is an actor only.
    hop(6_000, { ...mine, caller: ORDERS, callee: PAYMENTS, peerSerial: randomBytes(8) }, { subject: BOB }),
    hop(7_000, { txn: 'other', callee: 'spiffe://shop.example/x', caller: 'spiffe://shop.example/y', actors: [] }),
  ];
  const cases: [TargetKind, string, number][] = [
    ['workload', FRONT, 2],
    ['workload', ORDERS, 2],
    ['workload', 'spiffe://shop.example/x', 1],
    ['cert', 'AB:12', 1],
    ['user', BOB, 2],
    ['user', ADA, 1],
    ['client', 'other-app', 1],
    ['consent', 'c:2', 1],
    ['txn', 'mine', 2],
    ['txn', 'none', 0],
  ];
  for (const [kind, value, hops] of cases) {
    const one = target(kind, value);
    expect([kind, value, radiusOf(one, events).hops]).toEqual([kind, value, hops]);
    // What is left out while reading changes nothing.
    const kept = events.filter((event) => mayMatter(one, event));
    expect(radiusOf(one, kept)).toEqual(radiusOf(one, events));
  }
});

test('a root key touches the delegated hops of its time in use, by the record of keys', () => {
  const key = (timeUs: number, kid: string, change: string) =>
    at(timeUs, { body: 'key', key: { use: 'root', kid, change } });
  const late = 900_000;
  const events = [
    key(0, 'k1', 'made'),
    key(1, 'k1', 'published'),
    key(50_000, 'k2', 'made'),
    hop(10_000),
    hop(40_000, { txn: '' }, null),
    hop(late),
  ];
  expect(radiusOf(target('kid', 'k1'), events)).toMatchObject({ hops: 2 });
  expect(radiusOf(target('kid', 'k2'), events)).toMatchObject({ hops: 1 });
  const withdrawn = [...events, key(2, 'k1', 'withdrawn')];
  const wide = { ...WINDOW, untilUs: Number.MAX_SAFE_INTEGER };
  const afterwards = hop(2 + 300_000_001);
  expect(blastRadius(target('kid', 'k1'), [...withdrawn, afterwards], wide).hops).toBe(2);
});

test('a refused hop counts as refused and reaches nothing', () => {
  const radius = radiusOf(target('user', ADA), [hop(5_000, { outcome: 'OUTCOME_REFUSED', code: 'policy_denied' })]);
  expect(radius).toMatchObject({
    hops: 1,
    refused: 1,
    users: [{ hops: 1, refused: 1, services: [], scopes: [], clients: [] }],
    services: [{ service: PAYMENTS, hops: 1, refused: 1, routes: [{ scopes: [] }] }],
    scopes: [],
  });
});

test('what lies outside the window is not counted, and streams without an end are', () => {
  const open = randomBytes(12);
  const closed = randomBytes(12);
  const end = (hopId: Buffer) =>
    at(9_000, {
      body: 'hopEnd',
      hopEnd: {
        hopId,
        side: 'SIDE_CALLEE',
        outcome: 'OUTCOME_FORWARDED',
        code: '',
        bytesIn: 0,
        bytesOut: 0,
        durationUs: 0,
        grpcStatusPlusOne: 0,
        requestId: Buffer.alloc(12),
      },
    });
  const events = [
    hop(999),
    hop(1_000_000),
    hop(5_000, { hopId: open, goesOn: true }),
    hop(6_000, { hopId: closed, goesOn: true }),
    end(closed),
  ];
  expect(radiusOf(target('user', ADA), events)).toMatchObject({ hops: 2, running: 1 });
});

test('a person who was erased is counted without a name', () => {
  expect(radiusOf(target('workload', ORDERS), [hop(5_000, {}, null), hop(6_000)])).toMatchObject({
    hops: 2,
    withoutUser: 1,
    users: [{ subject: ADA, hops: 1 }],
  });
});

test('text and picture name what was reached, and nothing that a reporter wrote can break out of them', () => {
  const evil = 'x"><script>\u001b[2J';
  const events = [
    hop(5_000, { caller: '', callee: FRONT, side: 'SIDE_ENTRY', actors: [] }),
    hop(6_000, { caller: FRONT, callee: PAYMENTS, route: evil, scope: evil }),
    hop(7_000, { caller: PAYMENTS, callee: FRONT, outcome: 'OUTCOME_REFUSED' }),
    hop(8_000, { caller: FRONT, callee: `spiffe://shop.example/${evil}` }),
  ];
  const one = target('user', ADA);
  const radius = radiusOf(one, events);
  const lines = drawRadius(one, radius, styleFor({}, true), (subject) => `ada (${subject})`).join('\n');
  expect(lines).toContain('4 hops (1 refused)');
  expect(lines).toMatch(/outside +→ +front +1/);
  expect(lines).toContain(`ada (${ADA})`);
  expect(lines).not.toContain('\u001b');
  const picture = radiusSvg(one, radius);
  expect(picture).toMatch(/^<\?xml version="1.0"/);
  expect(picture).not.toContain('<script');
  expect(picture).not.toContain('\u001b');
  expect(picture).toContain('&lt;script&gt;');
  expect(picture.match(/<rect /g)).toHaveLength(5);
});

test('SVG text and attributes are escaped', () => {
  expect(writeSvg(svg('a', { b: `"'<&>` }, '<\u0000\ufffe&>', svg('c', {})))).toBe(
    '<?xml version="1.0" encoding="UTF-8"?>\n<a b="&quot;&#39;&lt;&amp;&gt;">&lt;??&amp;&gt;<c/></a>\n',
  );
});

test('everyone on whose behalf something was reached is told, and nobody else', () => {
  const events = [
    hop(5_000),
    hop(6_000, { outcome: 'OUTCOME_REFUSED' }, { subject: BOB }),
    hop(7_000, {}, { subject: FRONT }),
  ];
  const write = (one: Target): Notice[] =>
    noticesOf({
      target: one,
      radius: radiusOf(one, events),
      reason: 'key lost',
      issuer: 'https://auth.example',
      nowS: 7,
      nameOf: (subject) => (subject === ADA ? 'ada' : null),
      newId: () => 'id',
    });
  const [notice, ...others] = write(target('workload', ORDERS));
  expect(others).toEqual([]);
  expect(notice).toMatchObject({
    subject: ADA,
    name: ADA.replace(':', '-'),
    event: {
      iss: 'https://auth.example',
      iat: 7,
      sub_id: { format: 'opaque', id: ADA },
      events: { 'urn:behalf:secevent:delegation-contained': { kind: 'workload', services: [PAYMENTS], hops: 1 } },
    },
  });
  expect(notice?.mail).toMatch(/^Subject: .+\n\nHello ada,/);
  expect(notice?.mail).toContain('services: payments');
  const ended = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';
  expect(write(target('client', 'shop-app'))[0]?.event).toHaveProperty(['events', ended]);
  expect(notice?.event).not.toHaveProperty(['events', ended]);
});

test('exactly one target is named, and a time that was', () => {
  expect(oneTarget({ user: 'ada' })).toEqual({ kind: 'user', given: 'ada' });
  expect(() => oneTarget({})).toThrow(/exactly one/);
  expect(() => oneTarget({ user: 'ada', txn: 't' })).toThrow(/exactly one/);
  expect(() => oneTarget({ user: '' })).toThrow(/empty/);
  const nowUs = Date.parse('2026-11-24T12:00:00Z') * 1_000;
  const hour = 3_600_000_000;
  expect(parseSince('2h', nowUs)).toBe(nowUs - 2 * hour);
  expect(parseSince('2026-11-24T11:00', nowUs)).toBe(nowUs - hour);
  expect(parseSince('2026-11-24 11:00:00', nowUs)).toBe(nowUs - hour);
  expect(parseSince('2026-11-24T12:00:00+01:00', nowUs)).toBe(nowUs - hour);
  expect(parseSince('2026-11-24', nowUs)).toBe(nowUs - 12 * hour);
  for (const wrong of ['', '0h', '2w', 'yesterday', '2026-13-01', '2026-11-25', '-1h']) {
    expect(() => parseSince(wrong, nowUs)).toThrow(/--since/);
  }
});
