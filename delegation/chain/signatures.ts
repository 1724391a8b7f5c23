/** Steps 5 and 6 of WIRE.md section 3: the only public-key operations. What verified once is remembered with its keys. */
import type { KeyObject } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { verifyEs256 } from '../../identity/jws.ts';
import { linkKeyOf, type ParsedWit } from '../../identity/wit/index.ts';
import type { VerifyContext } from '../context.ts';
import { findRootKey, verifyRootSignature } from '../root/check-root.ts';
import { type KnownChain, rememberedWit } from './chain-cache.ts';
import type { ParsedChain, ParsedHop } from './parsed-chain.ts';

/** The keys that a chain verified with. */
type ChainKeys = Pick<KnownChain, 'rootKid' | 'rootKey' | 'witKids' | 'witKeys'>;

/**
 * Verifies the root, then each link: its WIT's signature, then its own.
 * @throws {BehalfError} `delegation_bad_signature`, `delegation_wrong_audience`; `trust_unavailable` while keys are fetched
 */
export function verifySignatures({ root, hops }: ParsedChain, context: VerifyContext): ChainKeys {
  const rootKey = findRootKey(root, context);
  verifyRootSignature(root, rootKey, context);
  const witKids: string[] = [];
  const witKeys: KeyObject[] = [];
  for (let i = 0; i < hops.length; i++) {
    const hop = hops[i] as ParsedHop;
    const witKey = context.witKey(hop.wit.kid);
    if (witKey === null) return badSignature(`wit ${i + 1}`, 'unknown key');
    const linkKey = verifiedLinkKey(hop.wit, witKey, context, i);
    if (!verifyEs256(hop.link.signingInput, hop.link.signature, linkKey)) badSignature(`link ${i + 1}`, null);
    witKids.push(hop.wit.kid);
    witKeys.push(witKey);
  }
  return { rootKid: root.kid, rootKey, witKids, witKeys };
}

/** Whether a remembered outcome still counts: for the same authority and domain, and with the very keys of those names. */
export function stillCounts(known: KnownChain, context: VerifyContext): boolean {
  const { issuer, audience, trustDomain, rootKid, rootKey, witKids, witKeys } = known;
  if (issuer !== context.issuer || audience !== context.audience || trustDomain !== context.trustDomain) return false;
  if (context.rootKey(rootKid) !== rootKey) return false;
  for (let i = 0; i < witKids.length; i++) if (context.witKey(witKids[i] as string) !== witKeys[i]) return false;
  return true;
}

/** A workload's WIT lives an hour and comes with each of its chains, so its own outcome is remembered by itself. */
function verifiedLinkKey(wit: ParsedWit, witKey: KeyObject, { cache, peer }: VerifyContext, i: number): KeyObject {
  const known = cache?.findWit(peer.spiffeId, wit.compact) ?? null;
  if (known !== null && known.verifiedWith === witKey) return known.linkKey;
  if (!verifyEs256(wit.signingInput, wit.signature, witKey)) badSignature(`wit ${i + 1}`, null);
  const linkKey = linkKeyOf(wit);
  if (linkKey === null) return badSignature(`wit ${i + 1}`, 'its key is no point of P-256');
  if (cache === undefined) return linkKey;
  const { iat, kid, jti, spiffeId, certificateS256 } = wit;
  const signer = { iat, workload: spiffeId, certificate: certificateS256, jti, kid };
  const facts = { root: null, signers: [signer] };
  cache.putWit(peer.spiffeId, { wit: rememberedWit(wit), verifiedWith: witKey, linkKey, facts });
  return linkKey;
}

function badSignature(object: string, why: string | null): never {
  throw new BehalfError('delegation_bad_signature', { object, why });
}
