/**
 * C2SP signed-note: text, a blank line, and signature lines `— <name> <base64(key hash || signature)>`. Ed25519 only (type 1).
 * Keys are known by verifier keys (vkeys): `<name>+<hash>+<base64(0x01 || public key)>`.
 */
import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';

const ED25519 = 1;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** A note with more is refused; witnesses' cosignatures fit many times. */
const MAX_NOTE_BYTES = 16_384;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Who signs: a key and the name that it signs under. */
export interface NoteSigner {
  readonly name: string;
  readonly key: KeyObject;
}

/** Whose signature counts. */
export interface NoteVerifier {
  readonly name: string;
  readonly keyHash: Buffer;
  readonly key: KeyObject;
}

/** The verifier key of a signer's public half. */
export function vkeyOf({ name, key }: NoteSigner): string {
  const typed = typedPublicKey(key);
  return `${checkedName(name)}+${keyHash(name, typed).toString('hex')}+${typed.toString('base64')}`;
}

/**
 * Takes a vkey.
 * @throws {BehalfError} `key_unusable` if it is malformed, of another type, or its hash does not fit its name and key
 */
export function parseVkey(vkey: string): NoteVerifier {
  const [name, hex, base64, ...rest] = splitVkey(vkey);
  const refuse = (why: string): BehalfError => new BehalfError('key_unusable', { vkey: vkey.slice(0, 120), why });
  if (name === undefined || hex === undefined || base64 === undefined || rest.length > 0)
    throw refuse('not name+hash+key');
  if (!isName(name)) throw refuse('name');
  const typed = fromBase64(base64);
  if (typed === null || typed.length !== 1 + PUBLIC_KEY_BYTES || typed[0] !== ED25519)
    throw refuse('not an Ed25519 key');
  const expected = keyHash(name, typed);
  if (expected.toString('hex') !== hex) throw refuse('key hash does not fit');
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: typed.subarray(1).toString('base64url') };
  return { name, keyHash: expected, key: createPublicKey({ key: jwk, format: 'jwk' }) };
}

/** Signs a text, which ends in a newline and has no other control character. */
export function signNote(text: string, signer: NoteSigner): string {
  if (!isText(text)) throw new Error('a note is non-empty text that ends in a newline');
  const signature = Buffer.concat([
    keyHash(signer.name, typedPublicKey(signer.key)),
    sign(null, Buffer.from(text), signer.key),
  ]);
  return `${text}\n— ${checkedName(signer.name)} ${signature.toString('base64')}\n`;
}

/**
 * Gives the text of a note that one of the verifiers signed. Signatures of unknown keys are ignored, a wrong one of a known key
 * refuses the note, as the specification says.
 * @throws {BehalfError} `statement_untrusted`
 */
export function openNote(note: string, verifiers: readonly NoteVerifier[]): string {
  const refuse = (why: string): BehalfError => new BehalfError('statement_untrusted', { kind: 'note', why });
  if (Buffer.byteLength(note) > MAX_NOTE_BYTES) throw refuse('too long');
  const at = note.lastIndexOf('\n\n');
  const text = note.slice(0, at + 1);
  if (at < 0 || !isText(text) || !note.endsWith('\n')) throw refuse('not a signed note');
  let signed = false;
  for (const line of note.slice(at + 2, -1).split('\n')) {
    const [dash, name, base64, ...rest] = line.split(' ');
    const bytes = base64 === undefined ? null : fromBase64(base64);
    if (dash !== '—' || name === undefined || !isName(name) || rest.length > 0 || bytes === null || bytes.length < 5) {
      throw refuse('malformed signature line');
    }
    const hint = bytes.subarray(0, 4);
    const verifier = verifiers.find((known) => known.name === name && known.keyHash.equals(hint));
    if (verifier === undefined) continue;
    const signature = bytes.subarray(4);
    if (signature.length !== SIGNATURE_BYTES || !verify(null, Buffer.from(text), verifier.key, signature)) {
      throw refuse('signature does not verify');
    }
    signed = true;
  }
  if (!signed) throw refuse('no signature of a known key');
  return text;
}

/** First four bytes of SHA-256 over name, newline, type byte and public key. */
function keyHash(name: string, typed: Buffer): Buffer {
  return hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), typed]), 'buffer').subarray(0, 4);
}

function typedPublicKey(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const { x } = publicKey.export({ format: 'jwk' });
  if (publicKey.asymmetricKeyType !== 'ed25519' || x === undefined)
    throw new BehalfError('key_unusable', { why: 'not an Ed25519 key' });
  return Buffer.concat([Buffer.of(ED25519), Buffer.from(x, 'base64url')]);
}

/** Cuts at the first two plus signs; base64 may hold more. */
function splitVkey(vkey: string): string[] {
  const first = vkey.indexOf('+');
  const second = vkey.indexOf('+', first + 1);
  return first < 0 || second < 0 ? [] : [vkey.slice(0, first), vkey.slice(first + 1, second), vkey.slice(second + 1)];
}

function checkedName(name: string): string {
  if (!isName(name)) throw new BehalfError('key_unusable', { name, why: 'not a key name' });
  return name;
}

function isName(name: string): boolean {
  return name !== '' && !/[\s+]/u.test(name);
}

function isText(text: string): boolean {
  if (!text.endsWith('\n') || !text.isWellFormed()) return false;
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) < 32 && text[at] !== '\n') return false;
  return true;
}

function fromBase64(text: string): Buffer | null {
  if (!BASE64.test(text)) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}
