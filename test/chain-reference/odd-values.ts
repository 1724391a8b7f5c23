/** Values for members of claims and headers: of the right form and wrong, or of a wrong form. */
import { createHash } from 'node:crypto';
import type { Changes } from '../../delegation/test-forge.ts';
import type { TestMesh } from '../../delegation/test-mesh.ts';
import { SUB } from '../vectors/cases/case.ts';
import type { Random } from './random.ts';

export const NAMES = ['orders', 'payments', 'inventory', 'ledger', 'storefront', 'mallory'];
export const SCOPES = ['orders:read', 'orders:write', 'payments:charge'];
export const ROUTES = ['POST /orders/{id}', 'GET /orders/{id}', null];
const SECONDS = [0, 1, 4, 5, 6, 29, 30, 31, 59, 60, 61, 119, 120, 299, 300, 301, 600, 3600];
export const JSON_CHARACTERS = '"\\{}[]:,0123456789.-+eEtrufalsn\\ud83d /\n\t\x00\x7f';

export function oddValue(mesh: TestMesh, random: Random): unknown {
  switch (random.below(14)) {
    case 0:
      return random.of<unknown>([null, true, undefined, undefined]);
    case 1:
      return random.of([0, 1, 2, 3, 8, 9, 65, -1, 1.5, 2 ** 53 - 1, 2 ** 53, 1e21]);
    case 2:
      return someTime(mesh, random);
    case 3:
      return random.of(['', ' ', 'x', 'u:', 'ES256', 'EC', 'P-256', 'spiffe://shop.example', 'a  b', 'é', '\ud800']);
    case 4:
      return b64(random, random.of([11, 12, 15, 16, 17, 31, 32, 33]));
    case 5:
      return `${'A'.repeat(random.of([15, 21, 42]))}${random.of(['A', 'B', 'E', 'g', '='])}`;
    case 6:
      return mesh.workload(random.of(NAMES)).spiffeId;
    case 7:
      return random.of(['spiffe://other.example/a', 'spiffe://shop.example/a/', 'spiffe://shop.example/..', SUB]);
    case 8:
      return random.of<unknown>([
        [],
        [null],
        {},
        { type: '' },
        [{ type: 'payment' }],
        [[[[[[1]]]]]],
        { a: { b: { c: {} } } },
      ]);
    case 9:
      return NAMES.filter(() => random.chance(0.4)).map((name) => mesh.workload(name).spiffeId);
    case 10:
      return random.of([
        'orders:read',
        'orders:read orders:write',
        'orders:read orders:read',
        'admin',
        'a\\b',
        ...SCOPES,
      ]);
    case 11:
      return Array.from({ length: random.of([63, 64, 65]) }, () => 0);
    case 12:
      return 'x'.repeat(random.of([100, 600, 1000, 3000]));
    default:
      return mesh.workload(random.of(NAMES)).certificateS256;
  }
}

/** A value of the right form for that member, often a wrong one. */
function likelyValue(member: string, mesh: TestMesh, random: Random): unknown {
  switch (member) {
    case 'iat':
    case 'exp':
    case 'nbf':
      return someTime(mesh, random);
    case 'scope':
      return SCOPES.filter(() => random.chance(0.5)).join(' ');
    case 'del_depth':
    case 'del_max_depth':
    case 'max_depth':
      return random.below(10);
    case 'aud':
    case 'req_wl':
    case 'sub':
      return mesh.workload(random.of(NAMES)).spiffeId;
    case 'next':
      return NAMES.filter(() => random.chance(0.7)).map((name) => mesh.workload(name).spiffeId);
    case 'jti':
      return Buffer.from([0, 0, 0, 1 + random.below(3), 0, 0, 0, 0, 0, 0, 0, 0]).toString('base64url');
    case 'authorization_details':
      return someDetails(random);
    case 'rte':
      return random.of(ROUTES) ?? '';
    case 'par_hash':
    case 'wth':
    case 'once':
    case 'x5t#S256':
      return mesh.workload(random.of(NAMES)).certificateS256;
    default:
      return oddValue(mesh, random);
  }
}

/** Payments, and what is nearly one. */
export function someDetails(random: Random): Record<string, unknown>[] {
  if (random.chance(0.1))
    return random.of<Record<string, unknown>[]>([[], [{ type: 'payment' }], [{ type: 'account' }]]);
  return Array.from({ length: 1 + random.below(3) }, () => {
    const entry: Record<string, unknown> = { type: 'payment', limit: someLimit(random) };
    if (random.chance(0.2)) entry['creditorName'] = random.of(['ACME', 'ACME', 'acme', '', 'A\u202eB', 'x'.repeat(71)]);
    if (random.chance(0.1)) entry['creditorAccount'] = { iban: random.of(['DE89370400440532013000', 'DE89', 7]) };
    if (random.chance(0.2)) entry['actions'] = ['a', 'b', 'b', 'c'].filter(() => random.chance(0.5));
    if (random.chance(0.05)) entry['later'] = 1;
    return entry;
  });
}

function someLimit(random: Random): unknown {
  if (random.chance(0.03)) return random.of<unknown>([null, '5 EUR', 5, [], {}]);
  const currency = random.chance(0.85) ? 'EUR' : random.of(['JPY', 'KWD', 'CLF', 'USD', 'eur', 'EU', 3]);
  const amount = random.chance(0.85)
    ? random.of(['1', '5.00', '10', '10.00', '10.01', '99.9', '120.00', '120.01'])
    : random.of([
        '0',
        '0.00',
        '00',
        '01',
        '1.',
        '.1',
        '1e1',
        '-1',
        '1.001',
        '1.0001',
        '999999999999.99',
        '1000000000000',
        5,
      ]);
  return random.chance(0.02) ? { currency, amount, rate: '1' } : { currency, amount };
}

/** Half of them likely, half of them odd. */
export function changed(members: readonly string[], mesh: TestMesh, random: Random): Changes {
  const member = random.of(members);
  return { [member]: random.chance(0.6) ? likelyValue(member, mesh, random) : oddValue(mesh, random) };
}

export function oddTimes(mesh: TestMesh, random: Random): Changes {
  const iat = someTime(mesh, random);
  return random.chance(0.5) ? { iat, exp: iat + random.of(SECONDS) } : { [random.of(['iat', 'exp'])]: iat };
}

export function someTime({ nowS }: TestMesh, random: Random): number {
  return nowS + random.of(SECONDS) * (random.chance(0.5) ? 1 : -1);
}

/** One to three changes of the JSON text, which is signed afterwards. */
export function oddText(json: string, random: Random): string {
  let text = json;
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    const at = random.below(text.length + 1);
    const put = random.of([
      JSON_CHARACTERS.charAt(random.below(JSON_CHARACTERS.length)),
      ...['', '', ' ', '\\u0061', '\\ud83d', '"iat":1,', '"x":{"x":[]},', '"x":1,"x":2,', '-0', '1e1'],
    ]);
    text = text.slice(0, at) + put + text.slice(at + random.below(2));
  }
  return text;
}

export function b64(random: Random, bytes: number): string {
  return createHash('sha512')
    .update(String(random.below(1e9)))
    .digest()
    .subarray(0, bytes)
    .toString('base64url');
}
