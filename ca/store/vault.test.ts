import { expect, test } from 'vitest';
import { newVaultParameters, openVault } from './vault.ts';

const parameters = newVaultParameters();
const vault = openVault('correct horse', parameters);
const secret = Buffer.from('a private key');
const unusable = expect.objectContaining({ code: 'key_unusable' });

test('what was sealed opens again, with another process’s vault too', () => {
  const sealed = vault.seal('wit', secret);
  expect(sealed.includes(secret)).toBe(false);
  expect(openVault('correct horse', parameters).open('wit', sealed)).toEqual(secret);
});

test('sealing twice gives other bytes', () => {
  expect(vault.seal('wit', secret)).not.toEqual(vault.seal('wit', secret));
});

test('another passphrase, salt or name opens nothing', () => {
  const sealed = vault.seal('wit', secret);
  expect(() => openVault('correct mouse', parameters).open('wit', sealed)).toThrowError(unusable);
  expect(() => openVault('correct horse', newVaultParameters()).open('wit', sealed)).toThrowError(unusable);
  expect(() => vault.open('root', sealed)).toThrowError(unusable);
});

test('any flipped byte and any cut is refused', () => {
  const sealed = vault.seal('wit', secret);
  for (let at = 0; at < sealed.length; at += 1) {
    const flipped = Buffer.from(sealed);
    flipped[at] = (flipped[at] as number) ^ 1;
    expect(() => vault.open('wit', flipped)).toThrowError(unusable);
    expect(() => vault.open('wit', sealed.subarray(0, at))).toThrowError(unusable);
  }
});

test('weak parameters in the store are refused, so that nobody can make the passphrase cheap to guess', () => {
  expect(() => openVault('correct horse', { ...parameters, cost: 2 })).toThrowError(unusable);
});
