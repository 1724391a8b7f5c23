/** The pages themselves: pure functions from what is known to HTML. */
import type { PolicySnapshot } from '../../policy/snapshot/snapshot.ts';
import type { Consent, Deferrable } from '../consent/consents.ts';
import type { DeferredGrant } from '../deferred/grant.ts';
import { page } from './answer.ts';
import { type Html, html } from './html.ts';

/** How a scope is called in plain words. */
export interface ScopeText {
  readonly name: string;
  readonly title: string;
  readonly description: string;
}

/** Looks a scope up in the snapshot's catalogue; one that is not there is called by its name. */
export function scopeText(snapshot: PolicySnapshot | null, name: string): ScopeText {
  const known = snapshot !== null && Object.hasOwn(snapshot.scopes, name) ? snapshot.scopes[name] : undefined;
  return { name, title: known?.title ?? name, description: known?.description ?? '' };
}

/** Ends that the consent page offers; a client that posts the form itself may choose any number of seconds in the range. */
const DURATIONS: readonly { readonly seconds: number; readonly text: string }[] = [
  { seconds: 900, text: '15 minutes' },
  { seconds: 3_600, text: '1 hour' },
  { seconds: 28_800, text: '8 hours' },
  { seconds: 86_400, text: '1 day' },
  { seconds: 2_592_000, text: '30 days' },
];
export const MIN_CONSENT_S = 60;
export const MAX_CONSENT_S = 2_592_000;
const DEFAULT_CONSENT_S = 3_600;

export interface SignInPage {
  readonly action: string;
  readonly csrf: string;
  readonly account: string;
  readonly problem: string | null;
}

/** The sign-in form. */
export function signInPage({ action, csrf, account, problem }: SignInPage): string {
  return page(
    'Sign in',
    html`${problem === null ? null : html`<p class="problem">${problem}</p>`}
<form method="post" action="${action}">
<input type="hidden" name="csrf" value="${csrf}">
<label>Account <input type="text" name="account" value="${account}" autocomplete="username" required></label>
<label>Password <input type="password" name="password" autocomplete="current-password" required></label>
<button type="submit">Sign in</button>
</form>`,
  );
}

export interface ConsentPage {
  readonly action: string;
  readonly csrf: string;
  readonly account: string;
  readonly clientName: string;
  readonly purpose: string;
  readonly scopes: readonly ScopeText[];
  /** What is asked for in detail (RFC 9396), in words. */
  readonly details: readonly string[];
  /** What the client asks for of work that is put off; null where it may not ask. */
  readonly deferrable: Deferrable | null;
}

/** The consent form: any part can be unticked, and the end chosen. */
export function consentPage({
  action,
  csrf,
  account,
  clientName,
  purpose,
  scopes,
  details,
  deferrable,
}: ConsentPage): string {
  return page(
    `Let ${clientName} act for you?`,
    html`<p>You are signed in as <strong>${account}</strong>. ${clientName} asks to do the following in your name${purpose === '' ? '.' : html`, for this purpose: <q>${purpose}</q>.`}</p>
<form method="post" action="${action}">
<input type="hidden" name="csrf" value="${csrf}">
<fieldset><legend>What it may do: untick what you do not want</legend>
${scopes.map(scopeBox)}${details.map(detailBox)}
</fieldset>
${
  deferrable === null
    ? null
    : html`<fieldset><legend>Work that takes longer</legend>
<label><input type="checkbox" name="deferrable" value="yes"> ${deferrableText(deferrable)}<small>Only within what is ticked above, and only until the end below</small></label>
</fieldset>
`
}<label>Until when
<select name="duration_s">
${DURATIONS.map(({ seconds, text }) => html`<option value="${seconds}"${seconds === DEFAULT_CONSENT_S ? html` selected` : null}>${text}</option>`)}
</select></label>
<p>You can take this back at any time under <a href="/consents">your access</a>.</p>
<button type="submit" name="decision" value="allow">Allow</button>
<button type="submit" name="decision" value="deny">Do not allow</button>
</form>`,
  );
}

/** In plain words, what work that is put off means. */
function deferrableText({ maxS, uses }: Deferrable): string {
  const often = uses === 1 ? 'once' : `${uses} times at most`;
  return `It may finish work later without you: within ${durationText(maxS)} of your request, each piece of it ${often}`;
}

/** In the largest unit that it is a whole number of. */
function durationText(seconds: number): string {
  const units = [
    [86_400, 'day'],
    [3_600, 'hour'],
    [60, 'minute'],
    [1, 'second'],
  ] as const;
  const [size, name] = units.find(([unit]) => seconds % unit === 0) ?? units[3];
  const count = seconds / size;
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}

/** What the consent page said, for the record: one line a fact. */
export function consentText(
  {
    clientName,
    purpose,
    scopes,
    details,
    deferrable,
  }: Pick<ConsentPage, 'clientName' | 'purpose' | 'scopes' | 'details' | 'deferrable'>,
  granted: readonly string[],
  ticked: { readonly details: readonly number[]; readonly deferrable: boolean },
): string {
  const lines = scopes.map(({ name, title }) => `[${granted.includes(name) ? 'x' : ' '}] ${title} (${name})`);
  const inDetail = details.map((words, index) => `[${ticked.details.includes(index) ? 'x' : ' '}] ${words}`);
  const later = deferrable === null ? [] : [`[${ticked.deferrable ? 'x' : ' '}] ${deferrableText(deferrable)}`];
  return [`Client: ${clientName}`, `Purpose: ${purpose}`, ...lines, ...inDetail, ...later].join('\n');
}

export interface AccessPage {
  readonly account: string;
  readonly signOutCsrf: string;
  readonly consents: readonly {
    readonly consent: Consent;
    readonly clientName: string;
    readonly scopes: readonly ScopeText[];
    /** In words; of every grant of the consent. */
    readonly details: readonly string[];
    readonly csrf: string;
  }[];
  /** Work that was put off and stands. */
  readonly deferred: readonly DeferredGrant[];
}

/** What a user has let others do, and the forms that take it back. */
export function accessPage({ account, signOutCsrf, consents, deferred }: AccessPage): string {
  return page(
    'Your access',
    html`<p>You are signed in as <strong>${account}</strong>.</p>
${consents.length === 0 ? html`<p>No application may act for you.</p>` : consents.map(consentSection)}
${deferred.length === 0 ? null : html`<section><h2>Work to be finished later</h2>${deferred.map((grant) => deferredForm(grant, signOutCsrf))}</section>`}
<form method="post" action="/sign-out"><input type="hidden" name="csrf" value="${signOutCsrf}"><button type="submit">Sign out</button></form>`,
  );
}

function consentSection({ consent, clientName, scopes, details, csrf }: AccessPage['consents'][number]): Html {
  const { id, purpose, fromS, untilS, state } = consent;
  const facts = html`<dl><dt>Purpose</dt><dd>${purpose === '' ? 'none given' : purpose}</dd><dt>From</dt><dd>${timeText(fromS)}</dd><dt>Until</dt><dd>${timeText(untilS)}</dd></dl>`;
  if (state !== 'active')
    return html`<section><h2>${clientName}</h2>${facts}<p>${state === 'withdrawn' ? 'You took this back.' : 'This has ended.'}</p></section>`;
  return html`<section><h2>${clientName}</h2>${facts}${details.map((words) => html`<p>${words}</p>`)}
<form method="post" action="/consents/${id}/narrow"><input type="hidden" name="csrf" value="${csrf}">
<fieldset><legend>What it may do</legend>${scopes.map(scopeBox)}</fieldset>
<button type="submit">Keep only what is ticked</button></form>
<form method="post" action="/consents/${id}/withdraw"><input type="hidden" name="csrf" value="${csrf}"><button type="submit">Take all of this back</button></form>
</section>`;
}

function deferredForm({ id, purpose, madeS, untilS, chain }: DeferredGrant, csrf: string): Html {
  return html`<form method="post" action="/deferred/${id}/cancel"><input type="hidden" name="csrf" value="${csrf}">
<dl><dt>Work</dt><dd>${purpose === '' ? 'not said' : purpose}</dd><dt>May</dt><dd>${chain.scope.join(', ')}</dd><dt>From</dt><dd>${timeText(madeS)}</dd><dt>Until</dt><dd>${timeText(untilS)}</dd></dl>
<button type="submit">Cancel this</button></form>
`;
}

function scopeBox({ name, title, description }: ScopeText): Html {
  return html`<label><input type="checkbox" name="scope" value="${name}" checked> ${title}${description === '' ? null : html`<small>${description}</small>`}</label>
`;
}

function detailBox(words: string, index: number): Html {
  return html`<label><input type="checkbox" name="detail" value="${index}" checked> ${words}</label>
`;
}

function timeText(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
