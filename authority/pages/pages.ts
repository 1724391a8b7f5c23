/** Which page answers which request. `index.ts` lists them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type Provider from 'oidc-provider';
import { errors } from 'oidc-provider';
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { PolicySnapshot } from '../../policy/snapshot/snapshot.ts';
import type { ConsentChanges } from '../consent/consent-changes.ts';
import type { Consents } from '../consent/consents.ts';
import type { Accounts } from '../sign-in/accounts.ts';
import type { BrowserSessions } from '../sign-in/browser-sessions.ts';
import type { SignInLimits } from '../sign-in/sign-in-limits.ts';
import { accessPages } from './access.ts';
import { redirect, STYLE, sendRefusal } from './answer.ts';
import type { FormTokens } from './form-tokens.ts';
import { interactionPages } from './interaction.ts';

export interface PageDeps {
  readonly provider: Provider;
  readonly accounts: Accounts;
  readonly limits: SignInLimits;
  readonly sessions: BrowserSessions;
  readonly consents: Consents;
  readonly changes: ConsentChanges;
  readonly forms: FormTokens;
  readonly snapshot: () => PolicySnapshot | null;
  readonly clientName: (clientId: string) => string;
  /** The resource whose scopes are asked for. */
  readonly audience: string;
  /** Whether browsers reach us over https. */
  readonly secure: boolean;
  readonly clock: Clock;
}

/** Answers one request whose route it is. */
export type PageHandler = (request: IncomingMessage, response: ServerResponse, part: string) => Promise<void>;

export interface Route {
  readonly method: 'GET' | 'POST';
  /** Its one group, where it has one, is handed to the handler. */
  readonly path: RegExp;
  readonly handler: PageHandler;
}

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
