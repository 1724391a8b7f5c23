/** The pages in the middle of an authorization request: sign-in, then consent. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Interaction } from 'oidc-provider';
import { type AuthorizationDetail, tellDetail } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { Deferrable } from '../consent/consents.ts';
import { readAskedOfUser } from '../details/grant-details.ts';
import { readForm } from '../http/read-body.ts';
import { sendPage, setSecurityHeaders } from './answer.ts';
import type { PageDeps, Route } from './page-deps.ts';
import {
  type ConsentPage,
  consentPage,
  consentText,
  MAX_CONSENT_S,
  MIN_CONSENT_S,
  type ScopeText,
  scopeText,
  signInPage,
} from './page-texts.ts';
import { signIn } from './sign-in.ts';

const MAX_FORM_BYTES = 16 * 1_024;

type InteractionDetails = InstanceType<typeof Interaction>;

/** Routes under `/interaction/`. The uid in the path is not trusted: the library's cookie says which interaction it is. */
export function interactionPages(deps: PageDeps): Route[] {
  return [
    {
      method: 'GET',
      path: /^\/interaction\/([\w-]{1,64})$/,
      handler: (request, response, uid) => show(deps, request, response, uid),
    },
    {
      method: 'POST',
      path: /^\/interaction\/([\w-]{1,64})\/sign-in$/,
      handler: (request, response, uid) => postSignIn(deps, request, response, uid),
    },
    {
      method: 'POST',
      path: /^\/interaction\/([\w-]{1,64})\/consent$/,
      handler: (request, response, uid) => postConsent(deps, request, response, uid),
    },
  ];
}

async function show(deps: PageDeps, request: IncomingMessage, response: ServerResponse, uid: string): Promise<void> {
  const details = await load(deps, request, response, uid, null);
  if (details.prompt.name === 'login') sendPage(response, 200, signInForm(deps, details, '', null));
  else sendPage(response, 200, consentPage(consentFacts(deps, details)));
}

async function postSignIn(
  deps: PageDeps,
  request: IncomingMessage,
  response: ServerResponse,
  uid: string,
): Promise<void> {
  const details = await load(deps, request, response, uid, 'login');
  const fields = await readForm(request, MAX_FORM_BYTES);
  deps.forms.check(request, fields, 'interaction sign-in', uid);
  const account = await signIn(deps, request, response, fields);
  if (account === null) {
    sendPage(response, 401, signInForm(deps, details, fields.get('account') ?? '', 'Account and password do not fit.'));
    return;
  }
  if (details.session !== undefined && details.session.accountId !== account) {
    await leaveSession(deps, request, response, details);
  }
  const login = { accountId: account, remember: false, amr: ['pwd'] };
  await deps.provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
}

/**
 * Ends the library's session of whoever was signed in here before. Left standing, the library would answer with a page of its
 * own whose script ends it, and no script runs here.
 */
async function leaveSession(
  { provider, clock }: PageDeps,
  request: IncomingMessage,
  response: ServerResponse,
  details: InteractionDetails,
): Promise<void> {
  const session = await provider.Session.get(provider.createContext(request, response));
  if (session.accountId !== undefined) await session.destroy();
  Object.assign(details, { session: undefined });
  await details.save(Math.max(1, Math.floor(details.exp - clock())));
}

async function postConsent(
  deps: PageDeps,
  request: IncomingMessage,
  response: ServerResponse,
  uid: string,
): Promise<void> {
  const details = await load(deps, request, response, uid, 'consent');
  const fields = await readForm(request, MAX_FORM_BYTES);
  deps.forms.check(request, fields, 'consent', uid);
  const facts = consentFacts(deps, details);
  const asked = facts.scopes.map(({ name }) => name);
  const ticked = fields.getAll('scope');
  // INVARIANT: nobody is granted what the page did not show.
  const granted = asked.filter((name) => ticked.includes(name));
  if (fields.get('decision') !== 'allow' || granted.length === 0) {
    const refusal = { error: 'access_denied', error_description: 'the user did not consent' };
    await deps.provider.interactionFinished(request, response, refusal, { mergeWithLastSubmission: false });
    return;
  }
  const boxes = fields.getAll('detail');
  const given: Given = {
    scopes: granted,
    details: [...facts.details.keys()].filter((index) => boxes.includes(String(index))),
    deferrable: fields.get('deferrable') === 'yes' ? facts.deferrable : null,
    durationS: parseDuration(fields.get('duration_s')),
  };
  const grantId = await recordConsent(deps, details, facts, given);
  await deps.provider.interactionFinished(
    request,
    response,
    { consent: { grantId } },
    { mergeWithLastSubmission: true },
  );
}

/** What the user ticked and chose. */
interface Given {
  readonly scopes: readonly string[];
  /** Places in the list of details that was asked for. */
  readonly details: readonly number[];
  readonly durationS: number;
  readonly deferrable: Deferrable | null;
}

/** Makes the OAuth grant, then the consent on which it rests. A grant whose consent we did not come to write is worth nothing. */
async function recordConsent(
  deps: PageDeps,
  details: InteractionDetails,
  facts: ConsentPage,
  { scopes: granted, details: ticked, durationS, deferrable }: Given,
): Promise<string> {
  const { provider, audience, changes, clock } = deps;
  const clientId = String(details.params['client_id']);
  const account = accountOf(details);
  const grant = new provider.Grant({ accountId: account, clientId });
  const refused = facts.scopes.map(({ name }) => name).filter((name) => !granted.includes(name));
  grant.addResourceScope(audience, granted.join(' '));
  if (refused.length > 0) grant.rejectResourceScope(audience, refused.join(' '));
  const openid = listOf(details.prompt.details['missingOIDCScope']);
  if (openid.length > 0) grant.addOIDCScope(openid.join(' '));
  Object.assign(grant, { expiresIn: durationS });
  const grantId = await grant.save();
  const untilS = Math.floor(clock()) + durationS;
  await changes.give({
    account,
    clientId,
    scopes: granted,
    purpose: facts.purpose,
    untilS,
    shown: consentText(facts, granted, { details: ticked, deferrable: deferrable !== null }),
    grantId,
    details: askedDetails(deps, details).filter((_, index) => ticked.includes(index)),
    deferrable,
  });
  return grantId;
}

async function load(
  { provider, secure }: PageDeps,
  request: IncomingMessage,
  response: ServerResponse,
  uid: string,
  prompt: 'login' | 'consent' | null,
): Promise<InteractionDetails> {
  const details = await provider.interactionDetails(request, response);
  if (details.uid !== uid || (prompt !== null && details.prompt.name !== prompt)) {
    throw new BehalfError('request_malformed', {
      why: 'This page has expired. Go back to the application and begin again.',
    });
  }
  // The answer to these forms leads on to the client, and some browsers hold `form-action` against that too.
  const target = URL.parse(String(details.params['redirect_uri']));
  setSecurityHeaders(
    response,
    secure,
    target === null ? null : target.origin === 'null' ? target.protocol : target.origin,
  );
  return details;
}

function signInForm({ forms }: PageDeps, { uid }: InteractionDetails, account: string, problem: string | null): string {
  return signInPage({
    action: `/interaction/${uid}/sign-in`,
    csrf: forms.make('interaction sign-in', uid),
    account,
    problem,
  });
}

function consentFacts(deps: PageDeps, details: InteractionDetails): ConsentPage {
  const { forms, accounts, snapshot, clientName, audience, detailTypes, deferrableOf } = deps;
  const { uid, params, prompt } = details;
  const missing = prompt.details['missingResourceScopes'] as Record<string, unknown> | undefined;
  const scopes: ScopeText[] = listOf(missing?.[audience]).map((name) => scopeText(snapshot(), name));
  return {
    action: `/interaction/${uid}/consent`,
    csrf: forms.make('consent', uid),
    account: accounts.nameOf(accountOf(details)) ?? '',
    clientName: clientName(String(params['client_id'])),
    purpose: typeof params['purpose'] === 'string' ? params['purpose'] : '',
    scopes,
    details: askedDetails(deps, details).map((entry) => tellDetail(entry, detailTypes())),
    deferrable: deferrableOf(String(params['client_id'])),
  };
}

/** Judged anew, as the policy may have changed since the request came. @throws {BehalfError} `details_unsupported` */
function askedDetails({ detailTypes }: PageDeps, { params }: InteractionDetails): readonly AuthorizationDetail[] {
  const text = params['authorization_details'];
  return typeof text === 'string' ? readAskedOfUser(text, detailTypes()) : [];
}

function accountOf({ session }: InteractionDetails): string {
  if (session === undefined) throw new BehalfError('request_malformed', { why: 'nobody is signed in' });
  return session.accountId;
}

function parseDuration(value: string | null): number {
  const seconds = Number(value);
  if (!(Number.isSafeInteger(seconds) && seconds >= MIN_CONSENT_S && seconds <= MAX_CONSENT_S)) {
    throw new BehalfError('request_malformed', {
      why: `duration_s is not between ${MIN_CONSENT_S} and ${MAX_CONSENT_S}`,
    });
  }
  return seconds;
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}
