/**
 * A delegation as its holder brings it to the authority: the root alone from its entry workload, or a chain from the workload
 * that its last link was handed to. It is judged as its holder's sidecar judged it when it came (WIRE.md section 3), with
 * mutual TLS proving the holder here; what bound the last link to the one call, `rte` and `once`, was that sidecar's to hold.
 */
import { createPublicKey, type KeyObject, type webcrypto } from 'node:crypto';
import {
  createOnceStore,
  parseChain,
  type RevocableFacts,
  type Revocation,
  type VerifiedChain,
  type VerifiedRoot,
  verifyChain,
  verifyRoot,
} from '../../delegation/index.ts';
import { DEFAULT_CLOCK_RULE, type SpiffeId, type TrustDomain } from '../../identity/index.ts';
import type { AuthorityKeys } from '../keys/keys.ts';

/** The three header values; the last two are empty where the holder has the bare root. UNTRUSTED. */
export interface HeldDelegation {
  readonly txnToken: string;
  readonly delegationChain: string;
  readonly delegationCredentials: string;
}

/** What the authority judges it by. */
export interface HeldContext {
  readonly nowS: number;
  readonly trustDomain: TrustDomain;
  /** `iss` and `aud` of roots. */
  readonly issuer: string;
  readonly audience: string;
  rootKey(kid: string): KeyObject | null;
  witKey: (kid: string) => KeyObject | null;
  /** All revocations in force, of both sources. */
  revoked(facts: RevocableFacts): Revocation | null;
  /** @throws {BehalfError} `revocation_stale` */
  fresh(): void;
}

/**
 * Gives what `holder` has in hand.
 * @throws {BehalfError} the codes of WIRE.md section 4; for a delegation that another workload holds `delegation_wrong_audience`
 *   (a chain) or `delegation_holder_mismatch` (a root)
 */
export function verifyHeld(held: HeldDelegation, holder: SpiffeId, context: HeldContext): VerifiedRoot | VerifiedChain {
  const base = { ...context, me: holder, clock: DEFAULT_CLOCK_RULE };
  if (held.delegationChain === '' && held.delegationCredentials === '') return verifyRoot(held.txnToken, base);
  const parsed = parseChain(held);
  const { link, wit } = parsed.last;
  return verifyChain(parsed, {
    ...base,
    // Who sent it is not here any more: that the last signer did is what its WIT and signature prove.
    peer: { spiffeId: wit.spiffeId, certificateS256: wit.certificateS256 },
    route: link.claims.rte ?? null,
    myCertificateS256: link.claims.once ?? null,
    onceStore: createOnceStore({ startedAtS: Number.NEGATIVE_INFINITY }),
  });
}

/** Finds the public half of a root key of ours by its name: the one in use, and past ones that are still published. */
export function createRootKeyFinder(keys: AuthorityKeys): (kid: string) => KeyObject | null {
  let made: { readonly kid: string; readonly key: KeyObject } | null = null;
  return (kid) => {
    const jwk = keys.rootJwks.find((published) => published.kid === kid);
    if (jwk === undefined) return null;
    if (made?.kid !== kid) made = { kid, key: createPublicKey({ key: jwk as webcrypto.JsonWebKey, format: 'jwk' }) };
    return made.key;
  };
}
