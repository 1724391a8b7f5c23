/** Reading the body of a request, up to a limit. */
import type { IncomingMessage } from 'node:http';
import { BehalfError } from '../../errors/index.ts';

/** Reads a body. @throws {BehalfError} `request_malformed` past the limit */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new BehalfError('request_malformed', { why: 'body too large', maxBytes });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Reads a form (`application/x-www-form-urlencoded`). @throws {BehalfError} `request_malformed` */
export async function readForm(request: IncomingMessage, maxBytes: number): Promise<URLSearchParams> {
  if (request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() !== 'application/x-www-form-urlencoded') {
    throw new BehalfError('request_malformed', { why: 'the body is not a form' });
  }
  return new URLSearchParams((await readBody(request, maxBytes)).toString('utf8'));
}
