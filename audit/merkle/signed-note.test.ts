import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { openCheckpoint, openNote, parseVkey, signCheckpoint, signNote, vkeyOf } from './index.ts';

/** The example of Go's package golang.org/x/mod/sumdb/note, which the specification grew out of. */
const SEED = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1);
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');
const peter = {
  name: 'PeterNeumann',
  key: createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, SEED]), format: 'der', type: 'pkcs8' }),
};
const VKEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const SIGNATURE =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const verifier = parseVkey(VKEY);

test('the key, note and signature of Go’s example come out byte for byte', () => {
  expect(vkeyOf(peter)).toBe(VKEY);
  expect(signNote(TEXT, peter)).toBe(`${TEXT}\n${SIGNATURE}`);
  expect(openNote(`${TEXT}\n${SIGNATURE}`, [verifier])).toBe(TEXT);
});

test('a second published note opens', () => {
  const example = parseVkey('example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k');
  const note =
    'This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';
  expect(openNote(note, [example])).toBe('This is an example message.\n');
});

test('a note with a changed text, no known signature or a wrong one is statement_untrusted', () => {
  const note = signNote(TEXT, peter);
  const other = { name: 'other', key: generateKeyPairSync('ed25519').privateKey };
  const bad = [
    note.replace('think', 'thinK'),
    note.replace('x08go/Z', 'x08go/Y'),
    note.slice(0, -1),
    `${note}junk\n`,
    TEXT,
    signNote(TEXT, other),
    note.replace('—', '-'),
    `${TEXT}\n${SIGNATURE}`.replace('problem,\n', 'problem,\r\n'),
    `${'x'.repeat(20_000)}\n\n${SIGNATURE}`,
  ];
  for (const text of bad) expect(() => openNote(text, [verifier])).toThrow(/statement_untrusted/);
  // A signature of somebody unknown beside the known one is ignored.
  expect(openNote(note + signNote(TEXT, other).split('\n\n')[1], [verifier])).toBe(TEXT);
});

test('a malformed verifier key is key_unusable', () => {
  const bad = [
    '',
    'a+b',
    'PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    `${VKEY}=`,
    VKEY.replace('+AR', '+BR'),
    VKEY.replace('Peter', 'Peter '),
  ];
  for (const vkey of bad) expect(() => parseVkey(vkey)).toThrow(/key_unusable/);
});

test('a checkpoint opens under its own origin only, and only in its exact form', () => {
  const signer = { name: 'shop.example/log', key: peter.key };
  const own = parseVkey(vkeyOf(signer));
  const root = Buffer.alloc(32, 3);
  expect(openCheckpoint(signCheckpoint(7, root, signer), own)).toEqual({ origin: 'shop.example/log', size: 7, root });
  expect(
    openCheckpoint(signNote(`shop.example/log\n7\n${root.toString('base64')}\nextension\n`, signer), own).size,
  ).toBe(7);
  for (const text of [
    'elsewhere/log\n7\nX\n',
    'shop.example/log\n07\nX\n',
    'shop.example/log\n-1\nX\n',
    'shop.example/log\n7\nAAAA\n',
    'shop.example/log\n',
  ]) {
    expect(() => openCheckpoint(signNote(text.replace('X', root.toString('base64')), signer), own)).toThrow(
      /log_inconsistent/,
    );
  }
  expect(() => openCheckpoint(signCheckpoint(7, root, signer), verifier)).toThrow(/statement_untrusted/);
});
