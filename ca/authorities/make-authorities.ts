/**
 * Makes the hierarchy (DESIGN section 3): a root of our own or an operator's CA, and under it the issuing intermediate,
 * whose critical name constraint binds it to the trust domain.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { decodeCertificate } from '../../identity/path-validation/index.ts';
import type { TrustDomain } from '../../identity/spiffe-id.ts';
import { buildCertificate, distinguishedName, extension, localSigner, subjectOf } from '../../identity/svid/index.ts';
import type { OperatorCa } from './read-pkcs12.ts';

/** A hierarchy that is ready to issue. */
export interface Authorities {
  readonly rootDer: Buffer;
  /** Null where the root is an operator's: its key is not kept. */
  readonly rootKey: KeyObject | null;
  readonly issuingKey: KeyObject;
  /** Goes along with every SVID: our intermediate, then an operator's own, without the root. */
  readonly issuingChain: readonly Buffer[];
}

const DAY_S = 86_400;
const ROOT_LIFE_S = 3650 * DAY_S;
const ISSUING_LIFE_S = 365 * DAY_S;
/** For receivers whose clock is behind, more generous than for leaves: made once, by hand. */
const BACKDATE_S = 3600;

/** A self-signed root and an intermediate under it. */
export async function makeAuthorities(trustDomain: TrustDomain, nowS: number): Promise<Authorities> {
  const root = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const name = distinguishedName({ organization: trustDomain, commonName: 'Behalf root' });
  const rootDer = await buildCertificate(
    {
      subject: name,
      issuer: name,
      publicKey: root.publicKey,
      notBeforeS: nowS - BACKDATE_S,
      notAfterS: nowS + ROOT_LIFE_S,
      extensions: [
        extension.basicConstraints({ ca: true }),
        extension.keyUsage(['keyCertSign', 'crlSign']),
        extension.subjectKeyIdentifier(root.publicKey),
      ],
    },
    localSigner(root.privateKey, root.publicKey),
  );
  const issuer: OperatorCa = { privateKey: root.privateKey, publicKey: root.publicKey, chain: [rootDer] };
  return { ...(await makeIntermediate(trustDomain, issuer, nowS)), rootDer, rootKey: root.privateKey };
}

/** An intermediate of ours under an operator's CA, whose key is used this once. */
export async function makeAuthoritiesUnder(
  operator: OperatorCa,
  trustDomain: TrustDomain,
  nowS: number,
): Promise<Authorities> {
  const rootDer = operator.chain[operator.chain.length - 1] as Buffer;
  return { ...(await makeIntermediate(trustDomain, operator, nowS)), rootDer, rootKey: null };
}

async function makeIntermediate(
  trustDomain: TrustDomain,
  issuer: OperatorCa,
  nowS: number,
): Promise<Pick<Authorities, 'issuingKey' | 'issuingChain'>> {
  const keys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const issuerDer = issuer.chain[0] as Buffer;
  const above = issuer.chain.map((der) => decodeCertificate(der, 'operator CA'));
  const der = await buildCertificate(
    {
      subject: distinguishedName({ organization: trustDomain, commonName: 'Behalf issuing' }),
      issuer: subjectOf(issuerDer),
      publicKey: keys.publicKey,
      notBeforeS: Math.max(nowS - BACKDATE_S, ...above.map((certificate) => certificate.notBeforeS)),
      // Nothing is issued past its issuer's end.
      notAfterS: Math.min(nowS + ISSUING_LIFE_S, ...above.map((certificate) => certificate.notAfterS)),
      extensions: [
        extension.basicConstraints({ ca: true, pathLength: 0 }),
        extension.keyUsage(['keyCertSign', 'crlSign']),
        extension.permittedUriHost(trustDomain),
        extension.subjectKeyIdentifier(keys.publicKey),
        extension.authorityKeyIdentifier(createPublicKey(issuer.privateKey)),
      ],
    },
    localSigner(issuer.privateKey, issuer.publicKey),
  );
  return { issuingKey: keys.privateKey, issuingChain: [der, ...issuer.chain.slice(0, -1)] };
}
