/**
 * The opening handshake of WebSocket in both its forms: `Upgrade` in HTTP/1.1 (RFC 9110 section 7.8, RFC 6455 section 4) and extended
 * CONNECT in HTTP/2 (RFC 8441). The relay sees one form: a GET whose protocol is `websocket`, and 101 where it is taken. Key, version,
 * subprotocols and extensions are the two ends' own and pass as they are; only where one end speaks HTTP/2, which has no key, this
 * side stands in for it.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { fieldOf, type HeaderList } from '../../call/head.ts';
import { valuesOf } from '../fields.ts';

export const WEBSOCKET = 'websocket';
export const SWITCHING_PROTOCOLS = 101;
const KEY = 'sec-websocket-key';
const ACCEPT = 'sec-websocket-accept';
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * Whether a request asks for a WebSocket. Any other protocol that an `Upgrade` names is not served, and the request goes on as
 * one that did not ask (RFC 9110 section 7.8: a server may ignore it).
 */
export function asksForWebSocket({ method, httpVersion, rawHeaders }: IncomingMessage): boolean {
  if (method !== 'GET' || httpVersion !== '1.1') return false;
  const upgrades = valuesOf(rawHeaders, 'upgrade');
  if (upgrades.length !== 1 || (upgrades[0] as string).trim().toLowerCase() !== WEBSOCKET) return false;
  return valuesOf(rawHeaders, 'connection').some((value) =>
    value.split(',').some((token) => token.trim().toLowerCase() === 'upgrade'),
  );
}

/** A key for a request that came without one, from HTTP/2. */
export function newWebSocketKey(): string {
  return randomBytes(16).toString('base64');
}

/** The answer to a key (RFC 6455 section 4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64');
}

export function keyOf(headers: HeaderList): string | null {
  return fieldOf(headers, KEY);
}

export function acceptIn(headers: HeaderList): string | null {
  return fieldOf(headers, ACCEPT);
}

/** Fields of a 101 for HTTP/1.1: with what an end that speaks HTTP/2 did not say. */
export function switchingFields(answered: HeaderList, key: string | null): string[] {
  const fields = ['connection', 'Upgrade', 'upgrade', WEBSOCKET, ...withoutLength(answered)];
  if (key !== null && acceptIn(answered) === null) fields.push(ACCEPT, acceptOf(key));
  return fields;
}

/** Fields of a request for HTTP/1.1. */
export function upgradeFields(headers: HeaderList, key: string): string[] {
  const fields = ['connection', 'Upgrade', 'upgrade', WEBSOCKET, ...headers];
  if (keyOf(headers) === null) fields.push(KEY, key);
  return fields;
}

/** A head that switches protocols has no body, whatever it says (RFC 9110 section 8.6). */
function withoutLength(headers: HeaderList): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'content-length') kept.push(headers[i] as string, headers[i + 1] as string);
  }
  return kept;
}
