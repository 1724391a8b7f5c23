/** What verifying a bare root and a chain have in common: live state, and the root's own signature, issuer and audience. */
import type { KeyObject } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { verifyEs256 } from '../../identity/jws.ts';
import type { RootContext } from '../context.ts';
import type { RevocableFacts } from '../revocation/index.ts';
import type { ParsedRoot } from './root-claims.ts';

/**
 * Step 4: the live state is fresh and nothing in it hits.
 * @throws {BehalfError} `revocation_stale`, `consent_withdrawn`, `delegation_revoked`
 */
export function checkLiveState(facts: RevocableFacts, context: RootContext): void {
  context.fresh();
  const hit = context.revoked(facts);
  if (hit === null) return;
  const code = hit.kind === 'consent' ? 'consent_withdrawn' : 'delegation_revoked';
  throw new BehalfError(code, { kind: hit.kind, before: hit.before, version: hit.version ?? null });
}

/** Step 5, the key. @throws {BehalfError} `delegation_bad_signature`; whatever `rootKey` throws while keys are fetched */
export function findRootKey(root: ParsedRoot, context: RootContext): KeyObject {
  const key = context.rootKey(root.kid);
  if (key === null) throw new BehalfError('delegation_bad_signature', { object: 'root', why: 'unknown key' });
  return key;
}

/**
 * Step 5: signature, then `iss`, then `aud`.
 * @throws {BehalfError} `delegation_bad_signature`, `delegation_wrong_audience`
 */
export function verifyRootSignature(root: ParsedRoot, key: KeyObject, { issuer, audience }: RootContext): void {
  if (!verifyEs256(root.signingInput, root.signature, key)) {
    throw new BehalfError('delegation_bad_signature', { object: 'root' });
  }
  if (root.claims.iss !== issuer)
    throw new BehalfError('delegation_bad_signature', { object: 'root', why: 'another issuer' });
  if (root.claims.aud !== audience) {
    throw new BehalfError('delegation_wrong_audience', { object: 'root', why: 'a root for another mesh' });
  }
}
