/**
 * Puts together what an issuance brought and our own keys, after all of it was judged: the path against the bundle, the WIT
 * against the bundle and the certificate, and that both belong to the keys that we made. What the CA sends is not believed
 * because it came from the CA.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import type { MeshBundle } from '../bundle/index.ts';
import { DEFAULT_CLOCK_RULE } from '../clock.ts';
import { decodeCertificate, validatePath } from '../path-validation/index.ts';
import { certificatesToPem } from '../svid/pem.ts';
import { verifyWit } from '../wit/index.ts';
import type { IssuedIdentity } from './own-identity.ts';

/** An issuance with the private keys that it is for. */
export interface Issuance {
  /** DER, leaf first. */
  readonly chain: readonly Buffer[];
  readonly wit: string;
  readonly privateKey: KeyObject;
  readonly witKey: KeyObject;
}

/**
 * Judges an issuance and gives the identity.
 * @throws {BehalfError} `svid_invalid`, `wit_invalid`, `key_unusable`
 */
export function assembleIdentity(issuance: Issuance, bundle: MeshBundle, nowS: number): IssuedIdentity {
  const { chain, privateKey, witKey } = issuance;
  const svid = validatePath(chain, bundle, nowS, 'server');
  const leaf = decodeCertificate(chain[0] as Buffer, 'leaf');
  if (!leaf.publicKey.equals(createPublicKey(privateKey)))
    throw new BehalfError('key_unusable', { why: 'not the key of the certificate' });
  const wit = verifyWit(issuance.wit, {
    trustDomain: bundle.trustDomain,
    witKey: (kid) => bundle.witKeys.get(kid) ?? null,
    nowS,
    clock: DEFAULT_CLOCK_RULE,
  });
  if (wit.spiffeId !== svid.spiffeId || wit.certificateS256 !== svid.certificateS256) {
    throw new BehalfError('wit_invalid', { why: 'belongs to another certificate' });
  }
  if (!wit.linkKey.equals(createPublicKey(witKey)))
    throw new BehalfError('key_unusable', { why: 'not the key of the WIT' });
  return {
    spiffeId: svid.spiffeId,
    certificateChainPem: certificatesToPem(chain),
    privateKeyPem: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    serialHex: svid.serialHex,
    notBeforeS: svid.notBeforeS,
    notAfterS: svid.notAfterS,
    certificateS256: svid.certificateS256,
    wit: wit.compact,
    witS256: wit.s256,
    witJti: wit.jti,
    witKid: wit.kid,
    witExpS: wit.exp,
    witKey,
  };
}
