/**
 * Cookies of our own pages: host-only, out of reach of scripts, not sent along with other sites' forms. Over https their
 * names begin with `__Host-`, so that no sibling of our host can set one (RFC 6265bis section 4.1.3.2).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** The value of a cookie, or null. Of several of one name the first counts, as RFC 6265 section 5.4 puts the closest path first. */
export function readCookie(request: IncomingMessage, name: string, secure: boolean): string | null {
  const wanted = fullName(name, secure);
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [key, value] = pair.trim().split('=', 2);
    if (key === wanted && value !== undefined && value !== '') return value;
  }
  return null;
}

/** Sets a cookie for this host; it ends with the browser or after `maxAgeS`. An empty value removes it. */
export function setCookie(
  response: ServerResponse,
  name: string,
  value: string,
  secure: boolean,
  maxAgeS: number,
): void {
  const age = value === '' ? 0 : maxAgeS;
  response.appendHeader(
    'Set-Cookie',
    `${fullName(name, secure)}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${age}${secure ? '; Secure' : ''}`,
  );
}

function fullName(name: string, secure: boolean): string {
  return secure ? `__Host-${name}` : name;
}
