/** What the configuration of an entry makes of it: where requests go, what is remembered of proofs, what clients are told. */
import { createProofMemory } from '../../../identity/dpop/index.ts';
import type { EntryConfig } from '../../config.ts';
import type { EntryEnvironment } from '../environment.ts';
import type { Peer } from '../seam.ts';
import { createChallenge } from './challenge.ts';
import { createProofNonces } from './proof-nonces.ts';
import { METADATA_PATH } from './resource-metadata.ts';

const DEFAULT_REALM = 'behalf';

export function createEntryEnvironment(
  entry: EntryConfig | undefined,
  peerNamed: (authority: string) => Peer | null,
  nowS: number,
): EntryEnvironment {
  const elsewhere = entry?.resourceMetadata ?? null;
  return {
    forward: entry?.forward === undefined ? null : peerNamed(entry.forward),
    proofs: createProofMemory({ sinceS: nowS }),
    nonces: entry?.dpopNonce === true ? createProofNonces() : null,
    challenge: createChallenge({
      realm: entry?.realm ?? DEFAULT_REALM,
      metadataUrl(origin) {
        if (elsewhere !== null) return elsewhere === 'off' ? null : elsewhere;
        return origin === null ? null : origin + METADATA_PATH;
      },
    }),
    metadata: elsewhere === null ? { certificates: takesCertificates(entry) } : null,
  };
}

function takesCertificates(entry: EntryConfig | undefined): boolean {
  if ((entry?.trustedProxies ?? []).length > 0) return true;
  return entry?.tls !== undefined && entry.tls.clientCertificates !== 'off';
}
