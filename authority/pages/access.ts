/** "Your access": what a user has consented to, and taking it back. */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tellDetail } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { readCookie, setCookie } from '../http/cookies.ts';
import { readForm } from '../http/read-body.ts';
import type { AccountId } from '../sign-in/accounts.ts';
import { redirect, sendPage } from './answer.ts';
import type { PageDeps, Route } from './page-deps.ts';
import { accessPage, scopeText, signInPage } from './page-texts.ts';
import { SESSION_COOKIE, signIn } from './sign-in.ts';

/** Ties the sign-in form to a browser before anyone is signed in, so that nobody is signed in as another unawares. */
const FORM_COOKIE = 'behalf_form';
const FORM_COOKIE_S = 1_800;
const MAX_FORM_BYTES = 16 * 1_024;

/** Routes of `/sign-in`, `/sign-out` and `/consents`. */
export function accessPages(deps: PageDeps): Route[] {
  return [
    { method: 'GET', path: /^\/sign-in$/, handler: (request, response) => showSignIn(deps, request, response) },
    { method: 'POST', path: /^\/sign-in$/, handler: (request, response) => postSignIn(deps, request, response) },
    { method: 'POST', path: /^\/sign-out$/, handler: (request, response) => postSignOut(deps, request, response) },
    { method: 'GET', path: /^\/consents$/, handler: (request, response) => showConsents(deps, request, response) },
    {
      method: 'POST',
      path: /^\/consents\/(c:[\w-]{22})\/withdraw$/,
      handler: (request, response, id) => postWithdraw(deps, request, response, id),
    },
    {
      method: 'POST',
      path: /^\/consents\/(c:[\w-]{22})\/narrow$/,
      handler: (request, response, id) => postNarrow(deps, request, response, id),
    },
    {
      method: 'POST',
      path: /^\/deferred\/(d:[\w-]{22})\/cancel$/,
      handler: (request, response, id) => postCancel(deps, request, response, id),
    },
  ];
}

async function showSignIn(deps: PageDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const binding = readCookie(request, FORM_COOKIE, deps.secure) ?? randomBytes(16).toString('base64url');
  setCookie(response, FORM_COOKIE, binding, deps.secure, FORM_COOKIE_S);
  sendPage(
    response,
    200,
    signInPage({ action: '/sign-in', csrf: deps.forms.make('sign-in', binding), account: '', problem: null }),
  );
}

async function postSignIn(deps: PageDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const binding = readCookie(request, FORM_COOKIE, deps.secure) ?? '';
  const fields = await readForm(request, MAX_FORM_BYTES);
  deps.forms.check(request, fields, 'sign-in', binding);
  if ((await signIn(deps, request, response, fields)) !== null) {
    redirect(response, '/consents');
    return;
  }
  const problem = 'Account and password do not fit.';
  sendPage(
    response,
    401,
    signInPage({
      action: '/sign-in',
      csrf: deps.forms.make('sign-in', binding),
      account: fields.get('account') ?? '',
      problem,
    }),
  );
}

async function postSignOut(deps: PageDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { cookie } = signedIn(deps, request);
  deps.forms.check(request, await readForm(request, MAX_FORM_BYTES), 'access', cookie);
  deps.sessions.end(cookie);
  setCookie(response, SESSION_COOKIE, '', deps.secure, 0);
  const session = await deps.provider.Session.get(deps.provider.createContext(request, response));
  if (session.accountId !== undefined) await session.destroy();
  redirect(response, '/sign-in');
}

async function showConsents(deps: PageDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const cookie = readCookie(request, SESSION_COOKIE, deps.secure);
  const account = cookie === null ? null : deps.sessions.find(cookie);
  if (cookie === null || account === null) {
    redirect(response, '/sign-in');
    return;
  }
  const csrf = deps.forms.make('access', cookie);
  const consents = deps.consents.list(account).map((consent) => ({
    consent,
    clientName: deps.clientName(consent.clientId),
    scopes: consent.scopes.map((name) => scopeText(deps.snapshot(), name)),
    details: deps.details.ofConsent(consent.id).map((entry) => tellDetail(entry, deps.detailTypes())),
    csrf,
  }));
  const deferred = deps.deferredStore.list({ account }, false);
  const name = deps.accounts.nameOf(account) ?? '';
  sendPage(response, 200, accessPage({ account: name, signOutCsrf: csrf, consents, deferred }));
}

async function postWithdraw(
  deps: PageDeps,
  request: IncomingMessage,
  response: ServerResponse,
  id: string,
): Promise<void> {
  await checkOwn(deps, request, id);
  await deps.changes.withdraw(id, 'user', '');
  redirect(response, '/consents');
}

/** Another user's work is answered like work that is not there. */
async function postCancel(
  deps: PageDeps,
  request: IncomingMessage,
  response: ServerResponse,
  id: string,
): Promise<void> {
  const { account, cookie } = signedIn(deps, request);
  const fields = await readForm(request, MAX_FORM_BYTES);
  deps.forms.check(request, fields, 'access', cookie);
  if (deps.deferredStore.get(id)?.account !== account)
    throw new BehalfError('not_found', { why: 'there is no such work' });
  await deps.deferrals.cancel(id, 'user', '');
  redirect(response, '/consents');
}

async function postNarrow(
  deps: PageDeps,
  request: IncomingMessage,
  response: ServerResponse,
  id: string,
): Promise<void> {
  const fields = await checkOwn(deps, request, id);
  await deps.changes.narrow(id, fields.getAll('scope'), 'user');
  redirect(response, '/consents');
}

/** Another user's consent is answered like one that is not there. */
async function checkOwn(deps: PageDeps, request: IncomingMessage, id: string): Promise<URLSearchParams> {
  const { account, cookie } = signedIn(deps, request);
  const fields = await readForm(request, MAX_FORM_BYTES);
  deps.forms.check(request, fields, 'access', cookie);
  if (deps.consents.get(id)?.account !== account)
    throw new BehalfError('not_found', { why: 'there is no such consent' });
  return fields;
}

function signedIn({ sessions, secure }: PageDeps, request: IncomingMessage): { account: AccountId; cookie: string } {
  const cookie = readCookie(request, SESSION_COOKIE, secure);
  const account = cookie === null ? null : sessions.find(cookie);
  if (cookie === null || account === null) throw new BehalfError('request_malformed', { why: 'nobody is signed in' });
  return { account, cookie };
}
