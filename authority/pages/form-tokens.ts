/**
 * Against forged forms: each form carries a token that only a page of ours could have put there, an HMAC over what ties it to
 * one browser (its interaction, session or form cookie) and to one form. Beside it the cookies are `SameSite`, and a foreign
 * `Origin` is refused.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { BehalfError } from '../../errors/index.ts';

export interface FormTokens {
  /** The token of a form. `binding` is a secret of this browser. */
  make(form: string, binding: string): string;
  /** @throws {BehalfError} `request_malformed` where the token is missing, another form's or another browser's */
  check(request: IncomingMessage, fields: URLSearchParams, form: string, binding: string): void;
}

/** Makes and checks form tokens. */
export function createFormTokens(secret: Buffer, origin: string): FormTokens {
  const make = (form: string, binding: string): string =>
    createHmac('sha256', secret)
      .update(JSON.stringify([form, binding]))
      .digest('base64url');
  return {
    make,
    check: (request, fields, form, binding) => {
      const from = request.headers.origin;
      if (from !== undefined && from !== origin)
        throw new BehalfError('request_malformed', { why: 'the form came from another site' });
      const presented = Buffer.from(fields.get('csrf') ?? '', 'utf8');
      const expected = Buffer.from(make(form, binding), 'utf8');
      if (presented.length !== expected.length || !timingSafeEqual(presented, expected)) {
        throw new BehalfError('request_malformed', { why: 'the form is not from this page: load it again' });
      }
    },
  };
}
