import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { codeOf } from '../../errors/index.ts';
import { countedAddress, createAddressOf } from './client-address.ts';

function addressOf(trusted: string[], remote: string, forwarded?: string): string {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: remote });
  const request = new IncomingMessage(socket);
  if (forwarded !== undefined) request.headers['x-forwarded-for'] = forwarded;
  return createAddressOf(trusted)(request);
}

test('without trusted proxies the header counts for nothing', () => {
  expect(addressOf([], '203.0.113.5', '198.51.100.7')).toBe('203.0.113.5');
  expect(addressOf(['10.0.0.0/8'], '203.0.113.5', '198.51.100.7')).toBe('203.0.113.5');
});

test('the header is read from its end, past our own proxies alone', () => {
  const trusted = ['10.0.0.0/8', '192.0.2.1', 'fd00::/8'];
  expect(addressOf(trusted, '10.1.2.3', '198.51.100.7')).toBe('198.51.100.7');
  expect(addressOf(trusted, '::ffff:10.1.2.3', '198.51.100.7')).toBe('198.51.100.7');
  expect(addressOf(trusted, 'fd00::1', '198.51.100.7, 192.0.2.1,10.9.9.9')).toBe('198.51.100.7');
  // What the client itself wrote stands before what our proxy saw.
  expect(addressOf(trusted, '10.1.2.3', '1.1.1.1, 198.51.100.7')).toBe('198.51.100.7');
  expect(addressOf(trusted, '10.1.2.3', '1.1.1.1, 10.0.0.1, 198.51.100.7')).toBe('198.51.100.7');
});

test('what is no address ends the reading at the one who handed it on', () => {
  for (const forwarded of [undefined, '', 'unknown', '198.51.100.7, unknown', '198.51.100.7, evil.example', ',']) {
    expect(addressOf(['10.0.0.0/8'], '10.1.2.3', forwarded)).toBe('10.1.2.3');
  }
  expect(addressOf(['10.0.0.0/8'], '10.1.2.3', '198.51.100.7:4711')).toBe('198.51.100.7');
  expect(addressOf(['10.0.0.0/8'], '10.1.2.3', '[2001:DB8::0:1]:4711')).toBe('2001:db8::1');
});

test('a long header costs and gives no more than a short one', () => {
  const forwarded = Array.from({ length: 1_000 }, () => '10.0.0.1').join(',');
  expect(addressOf(['10.0.0.0/8'], '10.1.2.3', forwarded)).toBe('10.0.0.1');
});

test('IPv6 addresses of one /64 are counted as one, others are not', () => {
  expect(countedAddress('2001:db8:0:1::1')).toBe(countedAddress('2001:db8:0:1:ffff:ffff:ffff:ffff'));
  expect(countedAddress('2001:db8::1')).toBe(countedAddress('2001:db8::ffff:0:0:2'));
  expect(countedAddress('2001:db8:0:1::1')).not.toBe(countedAddress('2001:db8:0:2::1'));
  expect(countedAddress('::1')).toBe('0:0:0:0::/64');
  expect(countedAddress('203.0.113.5')).toBe('203.0.113.5');
});

test('what is no network is refused at start', () => {
  for (const wrong of ['', 'proxy.example', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', 'fd00::/129', '10.0.0.0/-1']) {
    let code = 'taken';
    try {
      createAddressOf([wrong]);
    } catch (error) {
      code = codeOf(error);
    }
    expect(code).toBe('config_invalid');
  }
});
