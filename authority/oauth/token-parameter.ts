/**
 * Revocation (RFC 7009) and introspection (RFC 7662) of access tokens. The library takes opaque tokens only at these two
 * endpoints; ours are JWTs with a record each. So the form's `token` is exchanged for its record's id before the library reads
 * it; a JWT that is no token of ours becomes one that it does not find. Record ids are HMACs: nobody else can make one.
 */
import { IncomingMessage } from 'node:http';
import { readBody } from '../http/read-body.ts';
import type { AccessTokens } from './access-tokens.ts';

const MAX_BODY_BYTES = 16 * 1_024;
const JWT_FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** Gives the request as the library shall see it. @throws {BehalfError} `request_malformed` for a body past its limit */
export async function withRecordId(request: IncomingMessage, tokens: AccessTokens): Promise<IncomingMessage> {
  const form = new URLSearchParams((await readBody(request, MAX_BODY_BYTES)).toString('utf8'));
  const token = form.get('token');
  if (token !== null && form.getAll('token').length === 1) {
    form.set('token', JWT_FORM.test(token) ? ((await tokens.recordIdOf(token)) ?? 'unknown') : token);
  }
  return replay(request, Buffer.from(form.toString(), 'utf8'));
}

/** The same request with another body, as if it had just come in. */
function replay(request: IncomingMessage, body: Buffer): IncomingMessage {
  const again = new IncomingMessage(request.socket);
  again.method = request.method;
  again.url = request.url;
  again.httpVersion = request.httpVersion;
  again.headers = { ...request.headers, 'content-length': String(body.length) };
  again.push(body);
  again.push(null);
  again.complete = true;
  return again;
}
