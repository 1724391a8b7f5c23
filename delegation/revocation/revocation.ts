/**
 * What can be taken back, and what a delegation names that a revocation can hit (WIRE.md section 3, after the list).
 * Owns the types and the one rule of hitting; `revocation-set.ts` keeps many of them, the live state brings them.
 */

/** Who states a revocation. */
export type RevocationSource = 'authority' | 'ca';

export type RevocationKind =
  | 'txn'
  | 'sub'
  | 'client'
  | 'consent'
  | 'grant'
  | 'deferred'
  | 'kid'
  | 'workload'
  | 'wit'
  | 'cert';

/** Hits what was issued at or before `before` (seconds). `consent` may carry the lowest version that still counts instead. */
export interface Revocation {
  readonly kind: RevocationKind;
  readonly value: string;
  readonly before: number;
  readonly version?: number;
}

/** What a root names. Null where it has none; `iat` in seconds decides against `before`. */
export interface RootFacts {
  readonly iat: number;
  readonly kid: string;
  readonly txn: string;
  readonly sub: string;
  readonly client: string | null;
  readonly consent: string | null;
  readonly consentVersion: number | null;
  readonly grant: string | null;
  readonly deferred: string | null;
}

/**
 * What one signer names. A TLS peer without a WIT at hand is judged by its certificate alone: `iat` is then the true time of
 * issue (`notBefore` plus the backdating), `jti` and `kid` are null.
 */
export interface SignerFacts {
  readonly iat: number;
  readonly workload: string;
  readonly certificate: string;
  readonly jti: string | null;
  readonly kid: string | null;
}

/** All that a revocation can hit in one delegation: the root (null for a bare peer) and each signer. */
export interface RevocableFacts {
  readonly root: RootFacts | null;
  readonly signers: readonly SignerFacts[];
}

/** Whether that source may state that kind; what another source states is ignored and reported by the receiver. */
export function mayRevoke(source: RevocationSource, kind: RevocationKind): boolean {
  switch (kind) {
    case 'txn':
    case 'sub':
    case 'client':
    case 'consent':
    case 'grant':
    case 'deferred':
      return source === 'authority';
    case 'workload':
    case 'wit':
    case 'cert':
      return source === 'ca';
    case 'kid':
      return true;
    default:
      return kind satisfies never;
  }
}

/**
 * Whether one revocation hits one delegation: for indexes of streams, contexts and slots, which ask it of each of their
 * entries when a revocation arrives. `kid` of the authority means root keys, of the CA WIT keys.
 */
export function revocationHits(revocation: Revocation, source: RevocationSource, facts: RevocableFacts): boolean {
  if (!mayRevoke(source, revocation.kind)) return false;
  if (source === 'authority') return facts.root !== null && hitsRoot(revocation, facts.root);
  for (const signer of facts.signers) if (hitsSigner(revocation, signer)) return true;
  return false;
}

/** INVARIANT: a revocation with `version` judges by the version alone, any other by the time of issue alone. */
export function hitsConsent(revocation: Revocation, root: RootFacts): boolean {
  if (revocation.version === undefined) return root.iat <= revocation.before;
  return root.consentVersion === null || root.consentVersion < revocation.version;
}

function hitsRoot(revocation: Revocation, root: RootFacts): boolean {
  if (revocation.kind === 'consent') return root.consent === revocation.value && hitsConsent(revocation, root);
  return rootValue(revocation.kind, root) === revocation.value && root.iat <= revocation.before;
}

function hitsSigner(revocation: Revocation, signer: SignerFacts): boolean {
  return signerValue(revocation.kind, signer) === revocation.value && signer.iat <= revocation.before;
}

function rootValue(kind: RevocationKind, root: RootFacts): string | null {
  switch (kind) {
    case 'txn':
      return root.txn;
    case 'sub':
      return root.sub;
    case 'client':
      return root.client;
    case 'consent':
      return root.consent;
    case 'grant':
      return root.grant;
    case 'deferred':
      return root.deferred;
    case 'kid':
      return root.kid;
    case 'workload':
    case 'wit':
    case 'cert':
      return null;
    default:
      return kind satisfies never;
  }
}

function signerValue(kind: RevocationKind, signer: SignerFacts): string | null {
  if (kind === 'workload') return signer.workload;
  if (kind === 'wit') return signer.jti;
  if (kind === 'cert') return signer.certificate;
  return kind === 'kid' ? signer.kid : null;
}
