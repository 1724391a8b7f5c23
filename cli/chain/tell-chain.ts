/** Tells a chain in words: who, on whose behalf, with what left at each link, when, and who signed. Pure; shows no token. */
import { isUser } from '../../delegation/index.ts';
import { printable } from '../draw/style.ts';
import { lifetime, shortName } from '../draw/words.ts';
import { utc } from './check.ts';
import { type ChainView, detailsLeft, type LinkView, type RootView } from './view-chain.ts';

/** How a user's pseudonym is shown. */
export type NameSubject = (subject: string) => string;

/** The chain in words, from the user to the last workload. */
export function tellChain({ root, links }: ChainView, nameSubject: NameSubject): string[] {
  return [...tellRoot(root, nameSubject), ...links.flatMap(tellLink), tellLeft(root, links)];
}

/** Whose authority it is, in one sentence. */
function tellPrincipal({ sub, client, purpose }: RootView, nameSubject: NameSubject): string {
  const forWhat = purpose === null ? '' : `, for: ${printable(purpose)}`;
  if (!isUser(sub)) return `${shortName(sub)} acts on its own authority${forWhat}.`;
  return `${printable(nameSubject(sub))} let the client ${printable(client ?? '')} act${forWhat}.`;
}

function tellRoot(root: RootView, nameSubject: NameSubject): string[] {
  const { consent, entry, iat, exp, txn, scope, issuer, key } = root;
  return [
    tellPrincipal(root, nameSubject),
    ...(consent === null ? [] : [`The consent is ${printable(consent.id)}, version ${consent.version}.`]),
    `The authority gave ${shortName(entry)} a root at ${utc(iat)} for ${lifetime(exp - iat)} (transaction ${txn}),`,
    `with the scopes: ${scopesOf(scope)}.`,
    ...(root.deferred === null
      ? []
      : [
          `It goes on with work that ${shortName(entry)} put off (${printable(root.deferred.ref)}), from depth ${root.deferred.depth} of transaction ${root.deferred.txn}.`,
        ]),
    ...(root.details === null ? [] : [`In detail: ${detailsOf(root.details)}.`]),
    `   signed by ${printable(issuer)} with key ${printable(key)}`,
  ];
}

function tellLink({
  from,
  to,
  depth,
  iat,
  exp,
  scope,
  dropped,
  details,
  maxDepth,
  next,
  route,
  once,
  signer,
}: LinkView): string[] {
  const limits = [
    ...(maxDepth === null ? [] : [`at most ${maxDepth} deep`]),
    ...(next === null ? [] : [`on to ${next.map(shortName).join(', ') || 'nobody'} only`]),
    ...(route === null ? [] : [`for ${printable(route)} only`]),
    ...(once ? ['once'] : []),
  ];
  const left =
    dropped.length === 0
      ? `with: ${scopesOf(scope)}`
      : `narrowed to: ${scopesOf(scope)} (without ${scopesOf(dropped)})`;
  const limited = limits.length === 0 ? '' : `; ${limits.join(', ')}`;
  return [
    `${depth}. ${shortName(from)} handed it to ${shortName(to)} at ${utc(iat).slice(11, 19)} for ${lifetime(exp - iat)}, ${left}${limited}.`,
    ...(details === null ? [] : [`   in detail: ${detailsOf(details)}`]),
    `   signed by ${signer.id} with the key of WIT ${printable(signer.wit.slice(0, 12))}…, bound to certificate ${signer.certificate.slice(0, 12)}…`,
  ];
}

function tellLeft(root: RootView, links: readonly LinkView[]): string {
  const last = links.at(-1);
  const holder = last?.to ?? root.entry;
  const details = detailsLeft({ root, links });
  const inDetail = details === null ? '' : `; in detail: ${detailsOf(details)}`;
  return `So ${shortName(holder)} may act with: ${scopesOf(last?.scope ?? root.scope)}, until ${utc(last?.exp ?? root.exp)}${inDetail}.`;
}

/** Entries of details in words. */
export function detailsOf(details: readonly string[]): string {
  return details.length === 0 ? 'nothing' : details.map(printable).join('; ');
}

export function scopesOf(scopes: readonly string[]): string {
  return scopes.length === 0 ? 'no scope' : scopes.map(printable).join(' ');
}
