/** Scope values as RFC 6749 section 3.3 has them: `1*( %x21 / %x23-5B / %x5D-7E )`. Stricter: at most 128 characters. */

const MAX_SCOPE_TOKEN_LENGTH = 128;

/** Whether a text is one scope-token. */
export function isScopeToken(text: string): boolean {
  if (text.length === 0 || text.length > MAX_SCOPE_TOKEN_LENGTH) return false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charCodeAt(at);
    if (char < 0x21 || char > 0x7e || char === 0x22 || char === 0x5c) return false;
  }
  return true;
}
