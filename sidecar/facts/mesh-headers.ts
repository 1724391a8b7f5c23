/**
 * Which header fields belong to the mesh and are removed from whatever an app or an outside client sent (WIRE section 5):
 * `Delegation-*`, `Txn-Token`, `dlg`, and the `baggage` member `dlg`. Heads and trailers alike.
 */
import type { HeaderList } from '../call/head.ts';
import { stripBaggage } from './baggage.ts';

const PREFIX = 'delegation-';
const NAMES: readonly string[] = ['txn-token', 'dlg'];

/**
 * Whether a field is the mesh's own. Case does not count, and stricter than WIRE (`_` for `-`): any byte that is neither
 * letter nor digit counts as `-`, as gateways that make variables of names (RFC 3875 section 4.1.18) fold them all.
 */
export function isMeshHeader(name: string): boolean {
  return startsLike(name, PREFIX) || NAMES.some((own) => isSpelledLike(name, own));
}

/** Whether a field's name is `own` (lower case), or would be read as it where names are folded as in `isMeshHeader`. */
export function isSpelledLike(name: string, own: string): boolean {
  return name.length === own.length && startsLike(name, own);
}

/** The list without the mesh's own fields; a `baggage` line loses its `dlg` members, and goes if nothing is left of it. */
export function stripMeshHeaders(headers: HeaderList): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    if (isMeshHeader(name)) continue;
    if (name.length === 7 && name.toLowerCase() === 'baggage') {
      const left = stripBaggage(value);
      if (left !== null) kept.push('baggage', left);
    } else kept.push(name, value);
  }
  return kept;
}

/**
 * Fields by which frameworks take another method or path than the request line has. An app that obeys one would serve another
 * route than the one that was judged, so that the scopes of the one would open the other.
 */
const ROUTE_OVERRIDES: readonly string[] = [
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-original-url',
  'x-rewrite-url',
];

/** What a proxy with TLS before us says of the client's certificate (RFC 9440); read at the entry, and never passed on. */
const PROXY_FACTS: readonly string[] = ['client-cert', 'client-cert-chain'];

/** Whether a field is a proxy's word about a certificate, in any spelling that an app may fold to it. */
export function isProxyFact(name: string): boolean {
  for (const own of PROXY_FACTS) if (isSpelledLike(name, own)) return true;
  return false;
}

/** The list without fields that override what was judged; the same list where there are none, as nearly always. */
export function stripRouteOverrides(headers: HeaderList): HeaderList {
  for (let i = 0; i < headers.length; i += 2) {
    if (overridesRoute(headers[i] as string))
      return headers.filter((_, at) => !overridesRoute(headers[at & ~1] as string));
  }
  return headers;
}

function overridesRoute(name: string): boolean {
  for (const own of ROUTE_OVERRIDES) if (isSpelledLike(name, own)) return true;
  return false;
}

function startsLike(name: string, own: string): boolean {
  if (name.length < own.length) return false;
  for (let at = 0; at < own.length; at += 1) if (fold(name.charCodeAt(at)) !== own.charCodeAt(at)) return false;
  return true;
}

/** Lower-case letters and digits as themselves, upper case lowered, anything else as `-`. */
function fold(code: number): number {
  if ((code >= 97 && code <= 122) || (code >= 48 && code <= 57)) return code;
  return code >= 65 && code <= 90 ? code + 32 : 45;
}
