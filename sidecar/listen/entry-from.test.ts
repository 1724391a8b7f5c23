/** Whose word counts about where a request comes from. */
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { codeOf } from '../../errors/index.ts';
import { createEntryReader } from './entry-from.ts';

function from(remote: string, headers: string[], config: Parameters<typeof createEntryReader>[0] = {}) {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: remote });
  return createEntryReader(config)({ authority: 'shop.example', headers }, socket);
}

const SAID = [
  'x-forwarded-for',
  '198.51.100.7',
  'x-forwarded-proto',
  'https',
  'x-forwarded-host',
  'front.example',
  'client-cert',
  ':AAAA:',
];
const PROXIES = { trustedProxies: ['10.0.0.0/8'] };

test('from anyone but our proxies the fields count for nothing', () => {
  for (const config of [{}, PROXIES])
    expect(from('203.0.113.5', SAID, config)).toEqual({
      address: '203.0.113.5',
      origin: 'http://shop.example',
      certificateS256: null,
      defect: null,
    });
});

test('from our proxies they count, and what is no certificate is a defect', () => {
  const { defect, ...facts } = from('10.1.2.3', SAID, PROXIES);
  expect(facts).toEqual({ address: '198.51.100.7', origin: 'https://front.example', certificateS256: null });
  expect(codeOf(defect)).toBe('request_malformed');
  expect(from('::ffff:10.1.2.3', [], PROXIES).defect).toBeNull();
});

test('a configured origin goes before all that requests say, and no host that is none comes into a header', () => {
  const origin = 'https://shop.example';
  expect(from('10.1.2.3', SAID, { ...PROXIES, origin }).origin).toBe(origin);
  for (const host of ['a"b', 'a@b', 'a b', 'a/b'])
    expect(from('10.1.2.3', ['x-forwarded-host', host], PROXIES).origin, host).toBeNull();
  expect(() => createEntryReader({ origin: 'https://shop.example/x' })).toThrow(/config_invalid/);
});
