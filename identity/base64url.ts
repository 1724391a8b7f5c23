/** Base64url after RFC 4648 section 5, unpadded and canonical: exactly one text for each byte string. */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const NOT_IN_ALPHABET = 255;
const VALUES = valuesByCharCode();

/**
 * The bytes of a canonical text, or null: padding, other characters, a length that no byte string gives and unused bits that
 * are not zero are all refused: what they decode to is written differently. Empty text gives no bytes.
 */
export function decodeBase64url(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}

/** Whether the text is the canonical form of `bytes` bytes, without decoding it. */
export function isBase64urlOf(text: string, bytes: number): boolean {
  return text.length === Math.ceil((bytes * 4) / 3) && isBase64url(text);
}

/** The six bits of one character, or -1. */
export function base64urlValue(charCode: number): number {
  const value = charCode < VALUES.length ? (VALUES[charCode] as number) : NOT_IN_ALPHABET;
  return value === NOT_IN_ALPHABET ? -1 : value;
}

/** The character of six bits. */
export function base64urlChar(sixBits: number): string {
  return ALPHABET.charAt(sixBits & 63);
}

/** Whether the text is canonical unpadded base64url. */
export function isBase64url(text: string): boolean {
  const { length } = text;
  const tail = length % 4;
  if (tail === 1) return false;
  let last = 0;
  for (let i = 0; i < length; i++) {
    last = base64urlValue(text.charCodeAt(i));
    if (last < 0) return false;
  }
  if (tail === 2) return (last & 15) === 0;
  return tail !== 3 || (last & 3) === 0;
}

function valuesByCharCode(): Uint8Array {
  const values = new Uint8Array(128).fill(NOT_IN_ALPHABET);
  for (let i = 0; i < ALPHABET.length; i++) values[ALPHABET.charCodeAt(i)] = i;
  return values;
}
