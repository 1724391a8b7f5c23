export {
  mayRevoke,
  type RevocableFacts,
  type Revocation,
  type RevocationKind,
  type RevocationSource,
  type RootFacts,
  revocationHits,
  type SignerFacts,
} from './revocation.ts';
export { createRevocationSet, DEFAULT_MAX_REVOCATIONS, type RevocationSet } from './revocation-set.ts';
