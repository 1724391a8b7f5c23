/**
 * How pages are answered: the shell around every page, the headers that keep it from doing anything but show itself and post
 * its form, redirects, and refusals. No script runs on any page, so that the policy can forbid all of it.
 */
import type { ServerResponse } from 'node:http';
import { type BehalfError, ERROR_TABLE } from '../../errors/index.ts';
import { type Html, html } from './html.ts';

export const STYLE = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:36rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}
form{margin:1rem 0}
label{display:block;margin:.5rem 0}
input[type=text],input[type=password],select{display:block;width:100%;box-sizing:border-box;padding:.5rem;font:inherit}
fieldset{border:1px solid;border-radius:.4rem;margin:1rem 0}
button{font:inherit;padding:.5rem 1.2rem;margin-right:.5rem}
small{display:block;margin-left:1.6rem}
.problem{border-left:.3rem solid #b00020;padding-left:.8rem}
dt{font-weight:600}
`;

/** A whole page. */
export function page(title: string, body: Html): string {
  return html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title><link rel="stylesheet" href="/style.css"></head>
<body><main><h1>${title}</h1>
${body}
</main></body>
</html>
`.safe;
}

/** The page of an error in an OAuth request. Both texts may hold what the client sent. */
export function errorPage(error: string, description: string): string {
  return page(
    'This request cannot be answered',
    html`<p class="problem">${description === '' ? error : description}</p><p>Code: <code>${error}</code></p>`,
  );
}

/** Headers of everything that the authority answers over HTTP. `formTarget` is a source that a form's answer may lead to. */
export function setSecurityHeaders(response: ServerResponse, secure: boolean, formTarget: string | null): void {
  const target = formTarget === null ? "'self'" : `'self' ${formTarget}`;
  response.setHeader(
    'Content-Security-Policy',
    `default-src 'none'; style-src 'self'; form-action ${target}; base-uri 'none'; frame-ancestors 'none'`,
  );
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Referrer-Policy', 'same-origin');
  response.setHeader('X-Frame-Options', 'DENY');
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
  response.setHeader('Cache-Control', 'no-store');
  if (secure) response.setHeader('Strict-Transport-Security', 'max-age=31536000');
}

/** Answers with a page. */
export function sendPage(response: ServerResponse, status: number, content: string): void {
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' }).end(content);
}

/** Answers a form's POST: go and get that page (RFC 9110 section 15.4.4). */
export function redirect(response: ServerResponse, location: string): void {
  response.writeHead(303, { Location: location }).end();
}

/** Answers with the page of a refusal. */
export function sendRefusal(response: ServerResponse, { code, detail }: BehalfError): void {
  const { http, meaning } = ERROR_TABLE[code];
  const { retryAfterS } = detail;
  if (typeof retryAfterS === 'number') response.setHeader('Retry-After', String(retryAfterS));
  sendPage(response, http, errorPage(code, typeof detail['why'] === 'string' ? detail['why'] : meaning));
}
