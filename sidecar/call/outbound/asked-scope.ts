/**
 * `Delegation-Scope` on a call of the own app: the app asks that this call goes on with less than its request has left
 * (WIRE section 1, `scope`). It can only narrow; like every field of the mesh it does not leave the sidecar.
 */
import { isScopeSubset, parseScope } from '../../../delegation/index.ts';
import { BehalfError } from '../../../errors/index.ts';
import { isSpelledLike } from '../../facts/index.ts';
import type { HeaderList } from '../head.ts';

const FIELD = 'delegation-scope';

/**
 * The scope that the call asks for, or null where it asks for nothing: then it gets all that is left. An empty value asks for
 * no scope at all. UNTRUSTED.
 * @throws {BehalfError} `request_malformed` for the field more than once, another spelling of its name (which would be taken out
 *   unread, so that the call had more than was meant), and a value that is no scope (RFC 6749 section 3.3, each token once)
 */
export function readAskedScope(headers: HeaderList): readonly string[] | null {
  let value: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (!isSpelledLike(name, FIELD)) continue;
    if (name !== FIELD) throw malformed('another spelling of the name');
    if (value !== null) throw malformed('more than once');
    value = headers[i + 1] as string;
  }
  if (value === null) return null;
  return parseScope(value) ?? refuse();
}

/**
 * What goes on of `left`: all of it, or the part asked for, in the order of `left`, so that one set is one link.
 * @throws {BehalfError} `delegation_scope_widened` where more is asked than is left
 */
export function narrowedTo(asked: readonly string[] | null, left: readonly string[]): readonly string[] {
  if (asked === null) return left;
  if (!isScopeSubset(asked, left)) {
    const missing = asked.filter((scope) => !left.includes(scope)).slice(0, 8);
    throw new BehalfError('delegation_scope_widened', { object: FIELD, why: 'asks for more than is left', missing });
  }
  return left.filter((scope) => asked.includes(scope));
}

function refuse(): never {
  throw malformed('not scope tokens, each once, with one space between');
}

function malformed(why: string): BehalfError {
  return new BehalfError('request_malformed', { object: FIELD, why });
}
