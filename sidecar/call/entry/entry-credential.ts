/** What a request from outside showed, judged as far as the entry can: the authority says what a token is worth. */
import { BehalfError } from '../../../errors/index.ts';
import { verifyProof } from '../../../identity/dpop/index.ts';
import { isProxyFact, stripMeshHeaders } from '../../facts/index.ts';
import type { CallEnvironment, ShownCredential } from '../environment.ts';
import { type HeaderList, pathOfTarget, type RequestHead } from '../head.ts';
import type { EntryFrom } from '../seam.ts';
import { type AccessTokenCredential, type DeferredCredential, withoutCredentials } from './credentials.ts';

/**
 * The proof that came with a token is checked with every request, also where a root is reused (WIRE section 1). Here and not at the
 * authority: a check costs less than the way there, and who replays is told by whoever saw the first.
 * @throws {BehalfError} `entry_proof_invalid`, `entry_nonce_needed`
 */
export function verifiedCredential(
  env: CallEnvironment,
  credential: AccessTokenCredential | DeferredCredential,
  head: RequestHead,
  { origin, certificateS256 }: EntryFrom,
): ShownCredential {
  if (credential.kind === 'deferred') return credential;
  const { token, proof: compact } = credential;
  if (compact === null) return { kind: 'access_token', token, proof: null, certificateS256 };
  if (origin === null) throw new BehalfError('entry_proof_invalid', { why: 'the request names no host' });
  const { nonces } = env.entry;
  const uri = origin + pathOfTarget(head.target);
  const nowS = env.nowS();
  const expected = { method: head.method, uri, accessToken: token, nowS };
  const verified = verifyProof(
    compact,
    nonces === null ? expected : { ...expected, checkNonce: (nonce) => nonces.check(nonce, nowS) },
  );
  return { kind: 'access_token', token, proof: { ...verified, compact, method: head.method, uri }, certificateS256 };
}

/** What goes on inside: nothing of the mesh's own, no credential, and no proxy's word about a certificate. */
export function fieldsInside(headers: HeaderList): string[] {
  return withoutCredentials(stripMeshHeaders(headers)).filter(
    (_, at, all) => !isProxyFact(all[at - (at % 2)] as string),
  );
}
