/** What the pages are made from, and the shape of a route; shared by all of them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type Provider from 'oidc-provider';
import type { DetailTypes } from '../../delegation/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { PolicySnapshot } from '../../policy/snapshot/snapshot.ts';
import type { ConsentChanges } from '../consent/consent-changes.ts';
import type { Consents, Deferrable } from '../consent/consents.ts';
import type { Deferrals } from '../deferred/deferrals.ts';
import type { DeferredStore } from '../deferred/store.ts';
import type { GrantDetails } from '../details/grant-details.ts';
import type { AddressOf } from '../http/client-address.ts';
import type { Accounts } from '../sign-in/accounts.ts';
import type { BrowserSessions } from '../sign-in/browser-sessions.ts';
import type { SignInLimits } from '../sign-in/sign-in-limits.ts';
import type { FormTokens } from './form-tokens.ts';

export interface PageDeps {
  readonly provider: Provider;
  readonly accounts: Accounts;
  readonly limits: SignInLimits;
  readonly sessions: BrowserSessions;
  readonly consents: Consents;
  readonly details: GrantDetails;
  /** The registered types of `authorization_details`. */
  readonly detailTypes: () => DetailTypes;
  readonly changes: ConsentChanges;
  /** Work that was put off: what there is, and ending it. */
  readonly deferredStore: Pick<DeferredStore, 'list' | 'get'>;
  readonly deferrals: Pick<Deferrals, 'cancel'>;
  readonly forms: FormTokens;
  readonly snapshot: () => PolicySnapshot | null;
  readonly clientName: (clientId: string) => string;
  /** How far a client may ask users to let work be put off, or null. */
  readonly deferrableOf: (clientId: string) => Deferrable | null;
  /** The resource whose scopes are asked for. */
  readonly audience: string;
  /** Whether browsers reach us over https. */
  readonly secure: boolean;
  /** Whose address a request comes from. */
  readonly addressOf: AddressOf;
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
