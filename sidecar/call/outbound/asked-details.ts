/**
 * `Delegation-Details` on a call of the own app, or of a client outside: which entries of `authorization_details` this call goes on
 * with (RFC 9396, WIRE section 1). It can only narrow; like every field of the mesh it does not leave the sidecar.
 */
import { type AuthorizationDetail, parseDetailsText } from '../../../delegation/index.ts';
import { BehalfError } from '../../../errors/index.ts';
import { isSpelledLike } from '../../facts/index.ts';
import type { HeaderList } from '../head.ts';

const FIELD = 'delegation-details';

/**
 * The text that the call asks with, or null where it asks for nothing. UNTRUSTED.
 * @throws {BehalfError} `request_malformed` for the field more than once, and another spelling of its name (which would be taken
 *   out unread)
 */
export function readDetailsField(headers: HeaderList): string | null {
  let value: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (!isSpelledLike(name, FIELD)) continue;
    if (name !== FIELD) throw malformed('another spelling of the name');
    if (value !== null) throw malformed('more than once');
    value = headers[i + 1] as string;
  }
  return value;
}

/**
 * The entries asked for, or null where the call asks for nothing. An empty list asks for none. UNTRUSTED.
 * @throws {BehalfError} `request_malformed` as `readDetailsField`, and for what is no strict JSON array of objects with a `type`
 */
export function readAskedDetails(headers: HeaderList): readonly AuthorizationDetail[] | null {
  const value = readDetailsField(headers);
  if (value === null) return null;
  const details = parseDetailsText(value);
  if (details === null) throw malformed('not a JSON array of objects with a `type`');
  return details;
}

function malformed(why: string): BehalfError {
  return new BehalfError('request_malformed', { object: FIELD, why });
}
