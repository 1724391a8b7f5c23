/**
 * The patterns that a text of an entry may have, and for each the function that judges it: no regular expression runs over what
 * a peer sends. A test holds both against each other.
 */

/** Printable, on one line and in one direction, so that what a person reads on the consent page is what stands there. */
export const PLAIN_TEXT =
  '^[^\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff]*$';
/** Visible ASCII without space. */
export const VISIBLE_ASCII = '^[!-~]*$';
/** ISO 13616: country, two check digits, account. */
export const IBAN = '^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$';

export const TEXT_PATTERNS: ReadonlyMap<string, (text: string) => boolean> = new Map([
  [PLAIN_TEXT, isPlainText],
  [VISIBLE_ASCII, isVisibleAscii],
  [IBAN, isIban],
]);

/** What text cannot show, or shows in another order than it stands. */
const UNSEEN: readonly (readonly [number, number])[] = [
  [0x00, 0x1f],
  [0x7f, 0x9f],
  [0x61c, 0x61c],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x2069],
  [0xfeff, 0xfeff],
];

function isPlainText(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    for (const [first, last] of UNSEEN) if (code >= first && code <= last) return false;
  }
  return true;
}

function isVisibleAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (!(text.charCodeAt(i) >= 0x21 && text.charCodeAt(i) <= 0x7e)) return false;
  return true;
}

function isIban(text: string): boolean {
  if (text.length < 15 || text.length > 34) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const letter = code >= 0x41 && code <= 0x5a;
    const digit = code >= 0x30 && code <= 0x39;
    if (i < 2 ? !letter : i < 4 ? !digit : !(letter || digit)) return false;
  }
  return true;
}
