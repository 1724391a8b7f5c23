/**
 * What an affected person is told, and what a subscribed system is: a mail text and a security event (RFC 8417's claims, the
 * subject after RFC 9493, not signed) for each user whose delegation was used. Pure; the command writes the files.
 */
import { printable } from '../draw/style.ts';
import { count, instant, shortName } from '../draw/words.ts';
import type { BlastRadius, UserReach } from './radius.ts';
import type { Target } from './target.ts';

export interface Notice {
  readonly subject: string;
  /** Base of its files' names. */
  readonly name: string;
  /** A whole mail, without addresses: `Subject` and a text. */
  readonly mail: string;
  readonly event: object;
}

export interface NoticeFacts {
  readonly target: Target;
  readonly radius: BlastRadius;
  readonly reason: string;
  /** The authority, which issues the event; null in a mesh without one. */
  readonly issuer: string | null;
  readonly nowS: number;
  /** Name of an account, or null where this operator may not look it up. */
  nameOf(subject: string): string | null;
  newId(): string;
}

const CONTAINED = 'urn:behalf:secevent:delegation-contained';
/** OpenID CAEP 1.0 section 3.1: what the user or the client held has ended. */
const SESSION_REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';
const ENDS_SESSIONS: ReadonlySet<Target['kind']> = new Set(['user', 'client', 'consent']);

/** One for each person on whose behalf something was reached. Workloads that acted for themselves get none. */
export function noticesOf(facts: NoticeFacts): Notice[] {
  return facts.radius.users
    .filter(({ subject, hops, refused }) => !subject.startsWith('spiffe:') && hops > refused)
    .map((user) => ({
      subject: user.subject,
      name: user.subject.replaceAll(/[^A-Za-z0-9_-]/g, '-'),
      mail: mailOf(user, facts),
      event: eventOf(user, facts),
    }));
}

function mailOf(user: UserReach, { target, reason, nameOf, radius }: NoticeFacts): string {
  const from = instant(user.firstUs).slice(0, 16);
  const to = instant(user.lastUs).slice(0, 16);
  const done = user.hops - user.refused;
  return [
    'Subject: What was done on your behalf, and what we stopped',
    '',
    `Hello ${nameOf(user.subject) ?? 'there'},`,
    '',
    `${WHAT_HAPPENED[target.kind]} We stopped it at ${instant(radius.untilUs).slice(0, 16)} UTC.${reason === '' ? '' : ` The reason: ${printable(reason)}`}`,
    '',
    `Before that, between ${from} and ${to} UTC, ${count(done, 'call')} went through that touched your data:`,
    '',
    `  services: ${user.services.map(shortName).join(', ')}`,
    `  permissions used: ${user.scopes.length === 0 ? 'none' : user.scopes.map(printable).join(', ')}`,
    ...(user.clients.length === 0 ? [] : [`  through the application: ${user.clients.map(printable).join(', ')}`]),
    '',
    WHAT_TO_DO[target.kind],
    '',
    `Your reference: ${user.subject}`,
    '',
  ].join('\n');
}

const WHAT_HAPPENED: Readonly<Record<Target['kind'], string>> = {
  workload: 'A program of ours that handles requests of yours may have been in the wrong hands.',
  cert: 'A key of a program of ours that handles requests of yours may have been in the wrong hands.',
  user: 'Your account may have been used by somebody else.',
  client: 'An application that you let act for you may have been in the wrong hands.',
  consent: 'A permission that you gave to an application was taken back.',
  kid: 'A key with which we sign permissions may have been in the wrong hands.',
  txn: 'One request in your name may not have been yours.',
  deferred: 'Work in your name that was to be finished later was ended.',
};

const WHAT_TO_DO: Readonly<Record<Target['kind'], string>> = {
  workload: 'You need not do anything. If you see something that you did not do, tell us.',
  cert: 'You need not do anything. If you see something that you did not do, tell us.',
  user: 'You were signed out everywhere. Change your password, then sign in again.',
  client:
    'The application was signed out. If you still want to use it, sign in there again once we say that it is safe.',
  consent: 'The application can do nothing more for you. If you want it to, it will ask you again.',
  kid: 'You need not do anything. If you see something that you did not do, tell us.',
  txn: 'If the request was not yours, change your password and tell us.',
  deferred: 'If you still want it done, ask for it again.',
};

function eventOf(user: UserReach, { target, radius, reason, issuer, nowS, newId }: NoticeFacts): object {
  const details = {
    kind: target.kind,
    // A user's own containment names the user already; what else is named is no secret of anybody.
    value: target.kind === 'user' ? undefined : target.value,
    reason,
    since: Math.floor(radius.sinceUs / 1_000_000),
    until: Math.floor(radius.untilUs / 1_000_000),
    first_used: Math.floor(user.firstUs / 1_000_000),
    last_used: Math.floor(user.lastUs / 1_000_000),
    hops: user.hops,
    refused: user.refused,
    services: user.services,
    scopes: user.scopes,
    clients: user.clients,
  };
  const ended = { event_timestamp: nowS, initiating_entity: 'admin', reason_admin: { en: reason } };
  return {
    ...(issuer === null ? {} : { iss: issuer }),
    iat: nowS,
    jti: newId(),
    sub_id: { format: 'opaque', id: user.subject },
    events: { [CONTAINED]: details, ...(ENDS_SESSIONS.has(target.kind) ? { [SESSION_REVOKED]: ended } : {}) },
  };
}
