/**
 * Where a request from outside comes from: the connection's own word where the client is at its other end, and a proxy's word
 * where the configuration says that one of ours is (DESIGN section 4). From anyone else these fields count for nothing.
 */
import { hash, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { BehalfError } from '../../errors/index.ts';
import { createTrustedProxies } from '../../identity/trusted-proxies.ts';
import { countOf, fieldOf, type HeaderList, type RequestHead } from '../call/head.ts';
import type { EntryFrom } from '../call/seam.ts';
import type { EntryConfig } from '../config.ts';

/** Base64 of a certificate that we would take: larger ones are no one's. */
const MAX_CLIENT_CERT_LENGTH = 16_384;

export type EntryReader = (head: Pick<RequestHead, 'authority' | 'headers'>, socket: Socket) => EntryFrom;

/**
 * Makes the reader.
 * @throws {BehalfError} `config_invalid`
 */
export function createEntryReader({
  trustedProxies = [],
  origin,
}: Pick<EntryConfig, 'trustedProxies' | 'origin'>): EntryReader {
  const proxies = createTrustedProxies(trustedProxies);
  const configured = origin === undefined ? null : originOf(origin);
  if (origin !== undefined && configured === null)
    throw new BehalfError('config_invalid', { key: 'entry.origin', why: 'no origin such as https://shop.example' });

  return ({ authority, headers }, socket) => {
    const remote = socket.remoteAddress ?? '';
    const scheme = socket instanceof TLSSocket ? 'https' : 'http';
    if (!proxies.has(remote)) {
      return {
        address: remote,
        origin: configured ?? originOf(`${scheme}://${authority}`),
        certificateS256: certificateOf(socket),
        defect: null,
      };
    }
    const seen = `${lastOf(headers, 'x-forwarded-proto') ?? scheme}://${lastOf(headers, 'x-forwarded-host') ?? authority}`;
    return {
      address: proxies.clientOf(remote, joined(headers, 'x-forwarded-for')),
      origin: configured ?? originOf(seen),
      // The certificate of this connection, if any, is the proxy's own.
      ...forwardedCertificate(headers),
    };
  };
}

/** What the client proved in its handshake. No issuer is asked: a token is bound to this very certificate (RFC 8705 section 6.2). */
function certificateOf(socket: Socket): string | null {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  return certificate === undefined ? null : hash('sha256', certificate.raw, 'base64url');
}

/** `Client-Cert: :<base64 of DER>:` (RFC 9440 section 2.2), a byte sequence of RFC 8941. */
function forwardedCertificate(headers: HeaderList): Pick<EntryFrom, 'certificateS256' | 'defect'> {
  const value = fieldOf(headers, 'client-cert')?.trim();
  if (value === undefined) return { certificateS256: null, defect: null };
  const raw = countOf(headers, 'client-cert') === 1 ? certificateBytes(value) : null;
  if (raw !== null) return { certificateS256: hash('sha256', raw, 'base64url'), defect: null };
  return { certificateS256: null, defect: new BehalfError('request_malformed', { field: 'client-cert' }) };
}

/** The bytes between the colons, if they are exactly one certificate; else null. */
function certificateBytes(text: string): Buffer | null {
  const inner = text.slice(1, -1);
  if (text.length > MAX_CLIENT_CERT_LENGTH || text !== `:${inner}:`) return null;
  const der = Buffer.from(inner, 'base64');
  try {
    return new X509Certificate(der).raw.equals(der) && der.toString('base64') === inner ? der : null;
  } catch {
    return null;
  }
}

/** Scheme, host and port in the one form that URLs have; null for what is none, so that nothing else comes into a header. */
function originOf(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return null;
  return url.username === '' &&
    url.password === '' &&
    url.pathname === '/' &&
    url.search === '' &&
    url.hash === '' &&
    isPlainHost(url.host)
    ? url.origin
    : null;
}

/** Letters, digits and what IP addresses and ports have: URLs take quotes too, which would end a parameter of our challenge. */
function isPlainHost(host: string): boolean {
  for (let i = 0; i < host.length; i += 1) {
    const c = host.charCodeAt(i);
    const alphanumeric = (c >= 48 && c <= 58) || (c >= 97 && c <= 122);
    if (!alphanumeric && c !== 45 && c !== 46 && c !== 91 && c !== 93 && c !== 95) return false;
  }
  return true;
}

/** The last member of a list: the one that the proxy next to us wrote. */
function lastOf(headers: HeaderList, name: string): string | null {
  const last = joined(headers, name).split(',').at(-1)?.trim() ?? '';
  return last === '' ? null : last;
}

function joined(headers: HeaderList, name: string): string {
  let all = '';
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i] === name) all = all === '' ? (headers[i + 1] as string) : `${all},${headers[i + 1]}`;
  return all;
}
