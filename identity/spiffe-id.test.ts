import { expect, test } from 'vitest';
import { codeOf } from '../errors/index.ts';
import {
  isReservedPath,
  MAX_SPIFFE_ID_BYTES,
  parseSpiffeId,
  parseTrustDomain,
  partId,
  pathOf,
  trustDomainOf,
} from './spiffe-id.ts';

const DOMAIN_ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789.-_';
const PATH_ALPHABET = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_';
const CODES = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));

function isTaken(id: unknown): boolean {
  try {
    return parseSpiffeId(id) === id;
  } catch (error) {
    expect(codeOf(error)).toBe('spiffe_id_invalid');
    return false;
  }
}

test('of every character to 255, the trust domain takes exactly its alphabet', () => {
  for (const char of CODES.filter((one) => one !== '/')) {
    expect([char, isTaken(`spiffe://a${char}b/path`)]).toEqual([char, DOMAIN_ALPHABET.includes(char)]);
  }
});

test('of every character to 255, a path segment takes exactly its alphabet', () => {
  for (const char of CODES.filter((one) => one !== '/')) {
    expect([char, isTaken(`spiffe://domain/a${char}b`)]).toEqual([char, PATH_ALPHABET.includes(char)]);
  }
});

test('of every character to 255, a trust domain name takes exactly its alphabet', () => {
  for (const char of CODES) {
    let isName = true;
    try {
      parseTrustDomain(`a${char}b`);
    } catch {
      isName = false;
    }
    expect([char, isName]).toEqual([char, DOMAIN_ALPHABET.includes(char)]);
  }
});

test.each([
  ['no scheme', 'domain/path'],
  ['another scheme', 'https://domain/path'],
  ['the scheme in capitals', 'SPIFFE://domain/path'],
  ['no trust domain', 'spiffe:///path'],
  ['no path', 'spiffe://domain'],
  ['a slash for a path', 'spiffe://domain/'],
  ['a slash at the end', 'spiffe://domain/path/'],
  ['an empty segment', 'spiffe://domain//path'],
  ['a dot segment', 'spiffe://domain/./path'],
  ['a double-dot segment', 'spiffe://domain/path/..'],
  ['a port', 'spiffe://domain:80/path'],
  ['user information', 'spiffe://user@domain/path'],
  ['a query', 'spiffe://domain/path?a'],
  ['a fragment', 'spiffe://domain/path#a'],
  ['percent-encoding', 'spiffe://domain/p%61th'],
  ['white space around it', ' spiffe://domain/path'],
  ['a line feed at the end', 'spiffe://domain/path\n'],
  ['a letter outside ASCII', 'spiffe://domain/pфth'],
  ['a number', 1],
  ['nothing', undefined],
])('an ID with %s is refused', (_what, id) => {
  expect(isTaken(id)).toBe(false);
});

test('dots that are no dot segments, and 255 bytes, are taken; 256 are not', () => {
  expect(isTaken('spiffe://domain/.../a.b')).toBe(true);
  const longest = `spiffe://domain/${'a'.repeat(MAX_SPIFFE_ID_BYTES - 'spiffe://domain/'.length)}`;
  expect(isTaken(longest)).toBe(true);
  expect(isTaken(`${longest}a`)).toBe(false);
});

test('parts of an ID are read back', () => {
  const id = parseSpiffeId('spiffe://shop.example/ns/demo/sa/orders');
  expect([trustDomainOf(id), pathOf(id), isReservedPath(id)]).toEqual(['shop.example', '/ns/demo/sa/orders', false]);
  expect(isReservedPath(partId(parseTrustDomain('shop.example'), 'ca'))).toBe(true);
});
