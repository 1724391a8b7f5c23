/** The two ways to an issuance: attesting to the CA, and renewing with a valid SVID. Keys are made here and stay here. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import {
  type AttestRequest,
  type CertificateAuthority,
  certificateAuthority,
  type Svid,
} from '../../proto/behalf/ca/v1/ca.ts';
import type { Sent } from '../../proto/service.ts';
import { type MeshBundle, verifyMeshBundle } from '../bundle/index.ts';
import type { Clock } from '../clock.ts';
import { connectService, connectUnixService, type ServiceClient } from '../mtls/index.ts';
import { partId } from '../spiffe-id.ts';
import { makeCsr } from '../svid/csr.ts';
import type { AttestConfig, TrustConfig } from './config.ts';
import { assembleIdentity } from './issued-identity.ts';
import type { IssuedIdentity, OwnIdentity } from './own-identity.ts';

/** Two fresh P-256 pairs: one for TLS, one for links alone. */
export interface FreshKeys {
  readonly tls: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  readonly link: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
}

/** A judged issuance, and the bundle that came with it. */
export interface Obtained {
  readonly identity: IssuedIdentity;
  readonly bundle: MeshBundle;
}

const MAX_TOKEN_LENGTH = 256;

export function makeKeys(): FreshKeys {
  const pair = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return { tls: pair(), link: pair() };
}

/**
 * Attests as the configuration says. Repeating it with the same keys is safe: a join token whose answer was lost is good
 * again for the key that used it.
 * @throws {BehalfError} the CA's refusal, `attestation_failed` for an unreadable token, or `upstream_unavailable`
 */
export async function attest(
  trust: TrustConfig,
  bundle: MeshBundle,
  keys: FreshKeys,
  deps: { log: Logger; clock: Clock },
): Promise<Obtained> {
  const request = { ...(await attestationOf(trust.attest)), ...keyRequest(keys, trust.ttlS) };
  const client = connectToAttest(trust, bundle, deps);
  try {
    return judge(await client.attest(request), bundle, keys, deps.clock());
  } finally {
    client.close();
  }
}

/**
 * Obtains the same identity with new keys.
 * @throws {BehalfError} the CA's refusal or `upstream_unavailable`
 */
export async function renew(
  client: ServiceClient<CertificateAuthority>,
  identity: OwnIdentity,
  ttlS: number | undefined,
  clock: Clock,
): Promise<Obtained> {
  const keys = makeKeys();
  const obtained = judge(await client.renew(keyRequest(keys, ttlS)), identity.bundle(), keys, clock());
  if (obtained.identity.spiffeId !== identity.spiffeId) {
    throw new BehalfError('svid_invalid', {
      rule: 'spiffe_id',
      certificate: 'leaf',
      why: 'renewal gave another identity',
    });
  }
  return obtained;
}

async function attestationOf(config: AttestConfig): Promise<Sent<AttestRequest>> {
  if ('unixSocket' in config) return { attestation: 'unixPeer', unixPeer: {} };
  // Read anew on every try, since an operator may put a new token there.
  try {
    const joinToken = (await readFile(config.joinTokenFile, 'utf8')).trim();
    if (joinToken === '' || joinToken.length > MAX_TOKEN_LENGTH) throw new RangeError('not a token');
    return { attestation: 'joinToken', joinToken };
  } catch (cause) {
    throw new BehalfError('attestation_failed', { why: `no join token in \`${config.joinTokenFile}\`` }, { cause });
  }
}

function connectToAttest(trust: TrustConfig, bundle: MeshBundle, deps: { log: Logger; clock: Clock }) {
  return 'unixSocket' in trust.attest
    ? connectUnixService(certificateAuthority, trust.attest.unixSocket)
    : connectService(certificateAuthority, {
        address: trust.caAddress,
        bundle,
        expect: partId(bundle.trustDomain, 'ca'),
        ...deps,
      });
}

function keyRequest(keys: FreshKeys, ttlS: number | undefined): { csr: Buffer; witPublicJwk: string; ttlS: number } {
  const { kty, crv, x, y } = keys.link.publicKey.export({ format: 'jwk' });
  return { csr: makeCsr(keys.tls), witPublicJwk: JSON.stringify({ kty, crv, x, y, alg: 'ES256' }), ttlS: ttlS ?? 0 };
}

function judge(svid: Svid, trusted: MeshBundle, keys: FreshKeys, nowS: number): Obtained {
  const bundle = svid.bundle === null ? trusted : verifyMeshBundle(svid.bundle, trusted);
  const identity = assembleIdentity(
    {
      chain: svid.certificateChain,
      wit: svid.wit,
      privateKey: keys.tls.privateKey,
      witKey: keys.link.privateKey,
    },
    bundle,
    nowS,
  );
  return { identity, bundle };
}
