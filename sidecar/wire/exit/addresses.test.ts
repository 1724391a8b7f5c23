import { expect, test } from 'vitest';
import { addressesOf, isPublicAddress, type Resolved } from './addresses.ts';

const v4 = (address: string): Resolved => ({ address, family: 4 });
const v6 = (address: string): Resolved => ({ address, family: 6 });
const PUBLIC_ONLY = { privateAddresses: false, exit: 'bank' };

test.each([
  '127.0.0.1',
  '127.255.255.254',
  '0.0.0.0',
  '10.1.2.3',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  'fe80::1',
  'fc00::1',
  'fd12::1',
  'ff02::1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '64:ff9b::7f00:1',
  '2002:7f00:1::',
  '2001:db8::1',
  'no address',
])('%s is no public address', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test.each(['8.8.8.8', '172.32.0.1', '93.184.216.34', '2606:4700::1111', '2a00:1450::1'])('%s is one', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

test('one address that is not public refuses the name, in whatever place it stands', async () => {
  for (const list of [[v4('10.0.0.1')], [v4('8.8.8.8'), v4('127.0.0.1')], [v6('2606:4700::1'), v6('::1')]]) {
    await expect(addressesOf('bank.example', PUBLIC_ONLY, async () => list)).rejects.toMatchObject({
      code: 'exit_address_refused',
    });
  }
  await expect(addressesOf('127.0.0.1', PUBLIC_ONLY)).rejects.toMatchObject({ code: 'exit_address_refused' });
  expect(await addressesOf('127.0.0.1', { ...PUBLIC_ONLY, privateAddresses: true })).toEqual([v4('127.0.0.1')]);
});

test('a name that stands for nothing, or for too much, cannot be reached', async () => {
  const many = Array.from({ length: 65 }, () => v4('8.8.8.8'));
  for (const list of [[], many])
    await expect(addressesOf('bank.example', PUBLIC_ONLY, async () => list)).rejects.toMatchObject({
      code: 'upstream_unavailable',
    });
  const failing = async (): Promise<never> => {
    throw Object.assign(new Error('x'), { code: 'ENOTFOUND' });
  };
  await expect(addressesOf('bank.example', PUBLIC_ONLY, failing)).rejects.toMatchObject({
    code: 'upstream_unavailable',
  });
});
