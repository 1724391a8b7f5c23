/**
 * What a running part or sidecar knows about itself: its SVID, its WIT and the mesh's keys, always the current ones.
 * `open-identity.ts` makes it: attests, renews at half of the lifetime, follows the CA's bundle stream.
 */
import type { KeyObject } from 'node:crypto';
import type { MeshBundle } from '../bundle/index.ts';
import type { SpiffeId, TrustDomain } from '../spiffe-id.ts';

/** One issued identity; replaced as a whole at renewal. */
export interface IssuedIdentity {
  readonly spiffeId: SpiffeId;
  /** Leaf first, then intermediates; PEM, for `tls.createSecureContext`. */
  readonly certificateChainPem: string;
  /** PKCS#8 PEM of the key of the leaf. Never leaves the process but to its own owner-only state file. */
  readonly privateKeyPem: string;
  /** Lower-case hexadecimal, without leading zeros beyond one byte. */
  readonly serialHex: string;
  readonly notBeforeS: number;
  readonly notAfterS: number;
  /** base64url SHA-256 of the leaf's DER: `x5t#S256`. */
  readonly certificateS256: string;
  /** The WIT in compact form, and base64url SHA-256 of it (`wth`). */
  readonly wit: string;
  readonly witS256: string;
  readonly witJti: string;
  /** Name of the mesh's key that signed it. */
  readonly witKid: string;
  readonly witExpS: number;
  /** The private key that the WIT's `cnf` names: signs links, nothing else. */
  readonly witKey: KeyObject;
}

/** The current identity and mesh keys, and news of both. */
export interface OwnIdentity {
  readonly spiffeId: SpiffeId;
  readonly trustDomain: TrustDomain;
  current(): IssuedIdentity;
  bundle(): MeshBundle;
  /** Called after each renewal or bundle change; returns its own undoing. */
  onChange(listener: (what: 'identity' | 'bundle') => void): () => void;
  /** Stops renewal and the bundle stream. */
  close(): Promise<void>;
}
