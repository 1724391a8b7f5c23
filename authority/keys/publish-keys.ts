/**
 * Telling the mesh which keys are the authority's: through the CA, whose signed bundle reaches every part. Until the bundle has
 * them, sidecars take nothing of ours, so the authority is not ready before.
 */
import type { Logger } from 'pino';
import { BehalfError, codeOf } from '../../errors/index.ts';
import { type NamedJwk, type PartKeys, partId } from '../../identity/index.ts';
import { connectService } from '../../identity/mtls/index.ts';
import { createBackOff, type OwnIdentity, waitFor } from '../../identity/own/index.ts';
import { certificateAuthority } from '../../proto/behalf/ca/v1/ca.ts';
import type { AuthorityKeys } from './keys.ts';

const RETRY = { firstMs: 200, maxMs: 5_000 };

/** The members of the bundle's `behalf` part that are the authority's to set. */
function partKeysOf(
  keys: AuthorityKeys,
  rootKeys: readonly NamedJwk[],
  issuer: string,
): Pick<PartKeys, 'issuer' | 'jwks_uri' | 'root_keys'> & {
  live_state_keys: Pick<PartKeys['live_state_keys'], 'authority'>;
} {
  return {
    issuer,
    jwks_uri: `${issuer}/jwks`,
    root_keys: rootKeys,
    live_state_keys: { authority: [keys.liveState.publicJwk] },
  };
}

export interface PublishKeysDeps {
  readonly caAddress: string;
  readonly identity: OwnIdentity;
  readonly keys: AuthorityKeys;
  readonly issuer: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * Publishes all that there are, and says so to `keys`; tries again for as long as the CA cannot be reached.
 * @throws {BehalfError} what the CA refuses with; `trust_unavailable` if aborted before
 */
export async function publishKeys({ caAddress, identity, keys, issuer, log, signal }: PublishKeysDeps): Promise<void> {
  const ca = connectService(certificateAuthority, {
    address: caAddress,
    identity,
    expect: partId(identity.trustDomain, 'ca'),
    log,
  });
  const backOff = createBackOff(RETRY);
  try {
    while (!signal.aborted) {
      try {
        const { rootJwks } = keys;
        const { sequence } = await ca.publishKeys({ keysJson: JSON.stringify(partKeysOf(keys, rootJwks, issuer)) });
        keys.published(rootJwks);
        log.info(
          { sequence, rootKeys: rootJwks.map(({ kid }) => kid), liveStateKey: keys.liveState.kid },
          'keys published',
        );
        return;
      } catch (error) {
        if (!isOutage(error)) throw error;
        log.warn({ code: codeOf(error) }, 'keys not published yet');
        await waitFor(backOff.next(), signal);
      }
    }
    throw new BehalfError('trust_unavailable', { why: 'stopped before the keys were published' });
  } finally {
    ca.close();
  }
}

function isOutage(error: unknown): boolean {
  const code = codeOf(error);
  return (
    code === 'upstream_unavailable' ||
    code === 'upstream_timeout' ||
    code === 'trust_unavailable' ||
    code === 'overloaded'
  );
}
