/**
 * Step 1 of WIRE.md section 3: the header values (present, sizes, counts, list syntax), then object by object: root, links,
 * WITs. Everything is parsed and hashed here once; later steps only compare.
 */
import { BehalfError } from '../../errors/index.ts';
import type { Refusal } from '../../identity/jws.ts';
import { type SpiffeId, trustDomainOf } from '../../identity/spiffe-id.ts';
import { type ParsedWit, parseWit } from '../../identity/wit/index.ts';
import { MAX_LINK_BYTES, MAX_LINKS, MAX_ROOT_BYTES, MAX_TOTAL_BYTES, MAX_WIT_BYTES } from '../limits.ts';
import type { ParsedLink } from '../link/link-claims.ts';
import { parseLink } from '../link/parse-link.ts';
import type { RevocableFacts, SignerFacts } from '../revocation/index.ts';
import { parseRoot } from '../root/parse-root.ts';
import type { ParsedRoot } from '../root/root-claims.ts';
import { rootFacts } from '../root/root-facts.ts';
import { CHAIN_ID_BYTES, chainDigest } from './chain-id.ts';
import type { ChainHeaders, ParsedChain, ParsedHop } from './parsed-chain.ts';

const SEPARATOR = ', ';

/**
 * A WIT that has verified before, as it was parsed then, or null. INVARIANT: what it gives has exactly that text as its compact
 * form; being parsed says nothing about who signed it, `verifyChain` asks for itself.
 */
export type FindParsedWit = (compact: string) => ParsedWit | null;

/**
 * Reads the three headers of a call. A WIT that `findWit` knows is not parsed again: it comes with each chain of its hour.
 * @throws {BehalfError} `delegation_missing` where all three are absent, `delegation_too_large`, `delegation_malformed`,
 *   `delegation_unsupported`
 */
export function parseChain(headers: ChainHeaders, findWit: FindParsedWit | null = null): ParsedChain {
  const { txnToken, delegationChain, delegationCredentials } = checkPresent(headers);
  checkSizes(txnToken, delegationChain, delegationCredentials);
  const linkTexts = splitList(delegationChain, MAX_LINK_BYTES, 'link');
  const witTexts = splitList(delegationCredentials, MAX_WIT_BYTES, 'wit');
  checkLists(linkTexts, witTexts);

  const root = parseRoot(txnToken);
  const links = linkTexts.map((text, i) => parseLink(text, refusalOf('link', i)));
  const wits = witTexts.map((text, i) => findWit?.(text) ?? parseWit(text, refusalOf('wit', i)));
  checkOneTrustDomain(root, links, wits);

  const hops = links.map((link, i) => hopOf(root, links, link, wits[i] as ParsedWit, i));
  const digest = chainDigest(txnToken, delegationChain, delegationCredentials);
  return {
    root,
    hops,
    last: hops[hops.length - 1] as ParsedHop,
    workloads: [root.claims.req_wl, ...links.map((link) => link.claims.aud)],
    revocable: revocableFacts(root, wits),
    chainId: digest.subarray(0, CHAIN_ID_BYTES),
    digest: digest.toString('base64url'),
    txnToken,
    delegationChain,
    delegationCredentials,
  };
}

/** All three or none: a root presented bare is malformed, no delegation at all is missing. */
function checkPresent({ txnToken, delegationChain, delegationCredentials }: ChainHeaders): PresentHeaders {
  if (txnToken === null && delegationChain === null && delegationCredentials === null) {
    throw new BehalfError('delegation_missing', {});
  }
  if (!txnToken) return malformed('Txn-Token', 'absent or empty');
  if (!delegationChain) return malformed('Delegation-Chain', 'absent or empty');
  if (!delegationCredentials) return malformed('Delegation-Credentials', 'absent or empty');
  return { txnToken, delegationChain, delegationCredentials };
}

type PresentHeaders = { readonly [K in keyof ChainHeaders]: string };

function checkSizes(txnToken: string, delegationChain: string, delegationCredentials: string): void {
  const total = txnToken.length + delegationChain.length + delegationCredentials.length;
  if (total > MAX_TOTAL_BYTES) tooLarge('headers', total, MAX_TOTAL_BYTES);
  if (txnToken.length > MAX_ROOT_BYTES) tooLarge('root', txnToken.length, MAX_ROOT_BYTES);
}

/** Cuts a list at each separator. What else may stand in an element, its own reader says. */
function splitList(value: string, maxBytes: number, object: string): readonly string[] {
  const elements = value.split(SEPARATOR);
  if (elements.length > MAX_LINKS) tooLarge(`${object}s`, elements.length, MAX_LINKS);
  for (let i = 0; i < elements.length; i++) {
    const { length } = elements[i] as string;
    if (length > maxBytes) tooLarge(`${object} ${i + 1}`, length, maxBytes);
  }
  return elements;
}

function checkLists(links: readonly string[], wits: readonly string[]): void {
  if (links.length !== wits.length) malformed('Delegation-Credentials', 'not as many WITs as links');
  if (links.includes('') || wits.includes('')) malformed('Delegation-Chain', 'an empty element');
}

/** Version 1: all SPIFFE IDs of one trust domain. That it is ours follows, since the last `aud` has to be this workload. */
function checkOneTrustDomain(root: ParsedRoot, links: readonly ParsedLink[], wits: readonly ParsedWit[]): void {
  const { req_wl: first, sub, tctx } = root.claims;
  const domain = trustDomainOf(first);
  if (sub.startsWith('spiffe:') && trustDomainOf(sub as SpiffeId) !== domain) foreign('root');
  for (const id of tctx.deferred?.wl ?? []) if (trustDomainOf(id) !== domain) foreign('root');
  for (const id of tctx.deferred?.next ?? []) if (trustDomainOf(id) !== domain) foreign('root');
  for (let i = 0; i < links.length; i++) {
    const { aud, next } = (links[i] as ParsedLink).claims;
    if (trustDomainOf(aud) !== domain) foreign(`link ${i + 1}`);
    for (const id of next ?? []) if (trustDomainOf(id) !== domain) foreign(`link ${i + 1}`);
  }
  for (let i = 0; i < wits.length; i++) {
    if (trustDomainOf((wits[i] as ParsedWit).spiffeId) !== domain) foreign(`wit ${i + 1}`);
  }
}

function hopOf(root: ParsedRoot, links: readonly ParsedLink[], link: ParsedLink, wit: ParsedWit, i: number): ParsedHop {
  const holder = i === 0 ? root.claims.req_wl : (links[i - 1] as ParsedLink).claims.aud;
  return { link, wit, holder };
}

function revocableFacts(root: ParsedRoot, wits: readonly ParsedWit[]): RevocableFacts {
  return { root: rootFacts(root), signers: wits.map(signerFacts) };
}

function signerFacts({ iat, spiffeId, certificateS256, jti, kid }: ParsedWit): SignerFacts {
  return { iat, workload: spiffeId, certificate: certificateS256, jti, kid };
}

function refusalOf(object: string, index: number): Refusal {
  return { code: 'delegation_malformed', object: `${object} ${index + 1}` };
}

function malformed(object: string, why: string): never {
  throw new BehalfError('delegation_malformed', { object, why });
}

function foreign(object: string): never {
  return malformed(object, 'SPIFFE IDs of more than one trust domain');
}

function tooLarge(object: string, size: number, limit: number): never {
  throw new BehalfError('delegation_too_large', { object, size, limit });
}
