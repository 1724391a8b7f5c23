/** What ports and connections ask of the live state: who was revoked, and when to ask again. */
import type { SignerFacts } from '../../delegation/index.ts';

export interface RevokedPeers {
  /** Whether a certificate, the workload that it names, or what else is known of its holder was revoked. */
  isRevoked(holder: SignerFacts): boolean;
  /** Called after each revocation is in force; gives its own undoing. */
  onRevocation(listener: () => void): () => void;
}

/** Without live state nobody is known to be revoked (`mode: mtls`). */
export const NOBODY_REVOKED: RevokedPeers = { isRevoked: () => false, onRevocation: () => () => undefined };

/** Running calls of a revoked peer have ended with their code by then; so do their connections. */
export const REVOKED_CONNECTION_ENDS_MS = 1_000;
