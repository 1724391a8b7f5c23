/**
 * Issues the pair that a workload lives by: an X.509-SVID and the WIT that names it (SPIFFE X509-SVID; WIRE.md section 1).
 * Who gets it is decided before; here its content alone. Each SVID is validated like a peer would before it leaves.
 */
import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import {
  CERTIFICATE_BACKDATE_S,
  type Clock,
  type MeshBundle,
  mintWit,
  type SpiffeId,
  type TrustDomain,
} from '../../identity/index.ts';
import { decodeCertificate, validatePath } from '../../identity/path-validation/index.ts';
import {
  buildCertificate,
  distinguishedName,
  EXTENDED_KEY_USAGES,
  extension,
  localSigner,
  subjectOf,
} from '../../identity/svid/index.ts';

export interface IssuerOptions {
  readonly trustDomain: TrustDomain;
  readonly issuingKey: KeyObject;
  /** DER: the intermediate of `issuingKey` first, without the root. */
  readonly chain: readonly Buffer[];
  /** What signs WITs now; asked for each. */
  readonly witKey: () => { readonly key: KeyObject; readonly kid: string };
  readonly bundle: () => MeshBundle;
  readonly clock: Clock;
}

/** Whom to issue for. Keys are public. */
export interface IssueRequest {
  readonly spiffeId: SpiffeId;
  readonly publicKey: KeyObject;
  readonly linkKey: KeyObject;
  readonly ttlS: number;
}

export interface IssuedSvid {
  readonly spiffeId: SpiffeId;
  /** DER, leaf first, without the root. */
  readonly chain: readonly Buffer[];
  readonly wit: string;
  readonly witJti: string;
  readonly serialHex: string;
  readonly certificateS256: string;
  readonly issuedS: number;
  readonly notAfterS: number;
}

export interface Issuer {
  /**
   * Issues. The end is cut to the issuing certificate's.
   * @throws {BehalfError} `issuer_expired` if less than half of the life would be left
   */
  issue(request: IssueRequest): Promise<IssuedSvid>;
  /** When the issuing certificate, or one above it, ends; seconds. */
  readonly endsS: number;
}

const JTI_BYTES = 16;
/** A life cut to less than this part means that the issuer has to be replaced, not that lives get ever shorter. */
const LEAST_PART = 0.5;

/** Makes the issuer of one intermediate. */
export function createIssuer(options: IssuerOptions): Issuer {
  const { chain, witKey, bundle, clock } = options;
  const issuingDer = chain[0] as Buffer;
  const signer = localSigner(options.issuingKey, createPublicKey(options.issuingKey));
  const issuerName = subjectOf(issuingDer);
  const endsS = Math.min(...[...chain, ...bundle().x509Roots].map((der) => decodeCertificate(der, 'issuer').notAfterS));
  return {
    endsS,
    issue: async ({ spiffeId, publicKey, linkKey, ttlS }) => {
      const issuedS = Math.floor(clock());
      const notAfterS = Math.min(issuedS + ttlS, endsS);
      if (!(notAfterS - issuedS >= ttlS * LEAST_PART)) {
        throw new BehalfError('issuer_expired', { issuerEndsS: endsS, ttlS });
      }
      const leaf = await buildCertificate(
        {
          // RFC 5280 section 4.1.2.6: the name stands in the critical alternative name alone, so that nobody reads a CN.
          subject: distinguishedName({}),
          issuer: issuerName,
          publicKey,
          notBeforeS: issuedS - CERTIFICATE_BACKDATE_S,
          notAfterS,
          extensions: [
            extension.basicConstraints({ ca: false }),
            extension.keyUsage(['digitalSignature']),
            extension.extendedKeyUsage([EXTENDED_KEY_USAGES.serverAuth, EXTENDED_KEY_USAGES.clientAuth]),
            extension.subjectAltName([spiffeId], true),
            extension.authorityKeyIdentifier(signer.publicKey),
          ],
        },
        signer,
      );
      const path = [leaf, ...chain];
      const { serialHex, certificateS256 } = validatePath(path, bundle(), issuedS, 'server');
      const witJti = randomBytes(JTI_BYTES).toString('base64url');
      const wit = mintWit(
        { sub: spiffeId, iat: issuedS, exp: notAfterS, jti: witJti, linkKey, certificateS256 },
        witKey(),
      );
      return { spiffeId, chain: path, wit, witJti, serialHex, certificateS256, issuedS, notAfterS };
    },
  };
}
