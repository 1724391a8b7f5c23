/** Which page answers which request. `index.ts` lists them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors } from 'oidc-provider';
import { BehalfError } from '../../errors/index.ts';
import { accessPages } from './access.ts';
import { redirect, STYLE, sendRefusal } from './answer.ts';
import { interactionPages } from './interaction.ts';
import type { PageDeps, Route } from './page-deps.ts';

/** Answers a request to a page; false where the path is none of ours. */
export type Pages = (request: IncomingMessage, response: ServerResponse, path: string) => Promise<boolean>;

/** Makes the pages. */
export function createPages(deps: PageDeps): Pages {
  const routes: readonly Route[] = [
    { method: 'GET', path: /^\/$/, handler: async (_request, response) => redirect(response, '/consents') },
    { method: 'GET', path: /^\/style\.css$/, handler: sendStyle },
    ...interactionPages(deps),
    ...accessPages(deps),
  ];
  return async (request, response, path) => {
    for (const { method, path: pattern, handler } of routes) {
      const match = method === request.method ? pattern.exec(path) : null;
      if (match === null) continue;
      try {
        await handler(request, response, match[1] ?? '');
      } catch (error) {
        sendRefusal(response, refusalOf(error));
      }
      return true;
    }
    return false;
  };
}

/** A refusal that the person at the browser can understand; anything else goes on to the catch of the listener. */
function refusalOf(error: unknown): BehalfError {
  if (error instanceof BehalfError) return error;
  if (error instanceof errors.SessionNotFound) {
    return new BehalfError(
      'request_malformed',
      { why: 'This page has expired. Go back to the application and begin again.' },
      { cause: error },
    );
  }
  throw error;
}

async function sendStyle(_request: IncomingMessage, response: ServerResponse): Promise<void> {
  response
    .writeHead(200, { 'Content-Type': 'text/css; charset=utf-8', 'Cache-Control': 'public, max-age=3600' })
    .end(STYLE);
}
