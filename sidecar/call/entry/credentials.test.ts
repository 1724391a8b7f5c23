/** The one credential of a request from outside. */
import { expect, test } from 'vitest';
import { codeOf } from '../../../errors/index.ts';
import { trailerDefect } from '../hooks.ts';
import { presentedCredential, schemeOf, withoutCredentials } from './credentials.ts';

function outcomeOf(...headers: string[]): string {
  try {
    return presentedCredential(headers).kind;
  } catch (thrown) {
    return codeOf(thrown);
  }
}

test('a token is taken in any case of its scheme', () => {
  const bearer = presentedCredential(['accept', '*/*', 'authorization', 'Bearer abc.def-_~+/==']);
  expect(bearer).toEqual({ kind: 'access_token', token: 'abc.def-_~+/==', proof: null });
  expect(presentedCredential(['authorization', 'bEARER x'])).toMatchObject({ token: 'x' });
  const bound = presentedCredential(['dpop', 'a.b.c', 'authorization', 'dpop x']);
  expect(bound).toEqual({ kind: 'access_token', token: 'x', proof: 'a.b.c' });
});

test('a deferred reference is a credential, and nothing is none', () => {
  expect(presentedCredential(['delegation-deferred', 'abc-_'])).toEqual({ kind: 'deferred', reference: 'abc-_' });
  expect(outcomeOf('accept', '*/*')).toBe('none');
  expect(outcomeOf('delegation-deferred', '')).toBe('entry_token_invalid');
  expect(outcomeOf('delegation-deferred', 'a b')).toBe('entry_token_invalid');
  expect(outcomeOf('delegation-deferred', 'a'.repeat(513))).toBe('entry_token_invalid');
});

test('two credentials are entry_ambiguous, also equal ones and ones that a proxy joined', () => {
  expect(outcomeOf('authorization', 'Bearer a', 'authorization', 'Bearer a')).toBe('entry_ambiguous');
  expect(outcomeOf('authorization', 'Bearer a', 'authorization', 'DPoP b', 'dpop', 'p')).toBe('entry_ambiguous');
  expect(outcomeOf('authorization', 'Bearer a, DPoP b')).toBe('entry_ambiguous');
  expect(outcomeOf('authorization', 'Bearer a', 'delegation-deferred', 'b')).toBe('entry_ambiguous');
  expect(outcomeOf('delegation-deferred', 'a', 'delegation-deferred', 'b')).toBe('entry_ambiguous');
});

test('a proof that is missing, there twice, beside Bearer or without a token is entry_proof_invalid', () => {
  expect(outcomeOf('authorization', 'DPoP a')).toBe('entry_proof_invalid');
  expect(outcomeOf('authorization', 'DPoP a', 'dpop', 'p', 'dpop', 'p')).toBe('entry_proof_invalid');
  expect(outcomeOf('authorization', 'Bearer a', 'dpop', 'p')).toBe('entry_proof_invalid');
  expect(outcomeOf('dpop', 'p')).toBe('entry_proof_invalid');
});

test('another scheme, an empty token, a long one and characters beyond RFC 6750 are entry_token_invalid', () => {
  for (const value of [
    'Basic YTpi',
    'Bearer',
    'Bearer ',
    'Bearer a b',
    'Bearer =',
    'Bearer a"b',
    'Bearer ä',
    'DPoP',
    `Bearer ${'a'.repeat(8_193)}`,
  ]) {
    expect(outcomeOf('authorization', value), value.slice(0, 20)).toBe('entry_token_invalid');
  }
});

test('what a request was entered with does not go on', () => {
  expect(withoutCredentials(['a', '1', 'authorization', 'Bearer x', 'dpop', 'p', 'b', '2'])).toEqual([
    'a',
    '1',
    'b',
    '2',
  ]);
  expect(schemeOf(['authorization', 'dpop x'])).toBe('DPoP');
  expect(schemeOf(['authorization', 'Bearer x'])).toBe('Bearer');
  expect(schemeOf(['authorization', 'Basic x'])).toBeNull();
});

test('no credential and no proxy’s word comes in by trailers; an app’s own calls may have any', () => {
  for (const name of ['authorization', 'dpop', 'client-cert', 'client_cert', 'client-cert-chain']) {
    const trailers = ['x-checksum', '1', name, 'Bearer x'];
    expect(trailerDefect({ audience: 'outside' }, trailers)?.code, name).toBe('request_malformed');
    expect(trailerDefect({ audience: 'app' }, trailers), name).toBeNull();
  }
  expect(trailerDefect({ audience: 'outside' }, ['x-checksum', '1', 'grpc-status', '0'])).toBeNull();
});
