/**
 * Judges an X.509-SVID and its path (SPIFFE X509-SVID sections 2 to 5, RFC 5280 section 6) against a trust bundle.
 * Synchronous, so that a server can decide before it reads a peer's first byte. Extensions are decoded by pkijs, signatures
 * verified by `node:crypto`.
 *
 * Stricter than the standards: exactly one name and it is a URI; P-256 leaves; every extension that we rely on must be
 * present and say so; no leeway on times, since our certificates are backdated; roots are judged by time and kind too; a leaf's
 * ECDSA signature has its lower form, so that a certificate has one hash.
 */
import { BehalfError } from '../../errors/index.ts';
import type { MeshBundle } from '../bundle/index.ts';
import { parseSpiffeId, type SpiffeId, trustDomainOf } from '../spiffe-id.ts';
import {
  certificateS256,
  type DecodedCertificate,
  decodeCertificate,
  NAME_KIND,
  type NameConstraints,
} from './decode-certificate.ts';
import { hasLowS } from './low-s.ts';
import { checkNameConstraints } from './name-constraints.ts';
import { svidInvalid } from './svid-invalid.ts';

/** What an SVID says, after its whole path was judged. */
export interface VerifiedSvid {
  readonly spiffeId: SpiffeId;
  /** Lower-case hexadecimal. */
  readonly serialHex: string;
  /** base64url SHA-256 of the leaf's DER. */
  readonly certificateS256: string;
  readonly notBeforeS: number;
  readonly notAfterS: number;
}

/** The side that the peer with this certificate takes in the connection. */
export type Purpose = 'client' | 'server';

/** The trust that paths are judged by; a `MeshBundle` is one. */
export type PathTrust = Pick<MeshBundle, 'x509Roots' | 'trustDomain'>;

/** Leaf, our intermediate, and room for an operator's own hierarchy. The root need not be sent. */
export const MAX_PATH_CERTIFICATES = 6;

const EXTENDED_KEY_USAGE: Readonly<Record<Purpose, string>> = {
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
};
const MIN_RSA_BITS = 2048;
const CA_CURVES: readonly string[] = ['prime256v1', 'secp384r1'];
/** ECDSA and RSA PKCS#1 with SHA-256, -384, -512. SHA-1 and MD5 are not among them. */
const SIGNATURE_ALGORITHMS: ReadonlySet<string> = new Set([
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
]);

/** Roots are decoded once a bundle. */
const decodedRoots = new WeakMap<PathTrust, readonly DecodedCertificate[]>();

/**
 * Takes a chain as the peer sent it, leaf first, each issued by the next; the root may be left out.
 * @throws {BehalfError} `svid_invalid` with `{rule, certificate, why}`: the first rule that is broken, and by which certificate
 */
export function validatePath(
  chainDer: readonly Buffer[],
  trust: PathTrust,
  nowS: number,
  purpose: Purpose,
): VerifiedSvid {
  if (chainDer.length === 0 || chainDer.length > MAX_PATH_CERTIFICATES) {
    throw svidInvalid('chain_length', 'leaf', `${chainDer.length} certificates`);
  }
  const sent = withoutRoots(chainDer, trust).map((der, index) => decodeCertificate(der, placeOf(index)));
  const leaf = sent[0];
  if (leaf === undefined) throw svidInvalid('basic_constraints', 'leaf', 'is a root');
  const path = [...sent, rootOf(sent[sent.length - 1] ?? leaf, trust)];
  checkSignatures(path);
  for (const [index, certificate] of path.entries()) {
    checkCommon(certificate, placeIn(path, index), nowS);
    if (index > 0) checkAuthority(certificate, placeIn(path, index), index, index === path.length - 1, purpose);
  }
  checkConstraints(path);
  const spiffeId = checkLeaf(leaf, trust);
  return {
    spiffeId,
    serialHex: leaf.serialHex,
    certificateS256: certificateS256(leaf.der),
    notBeforeS: leaf.notBeforeS,
    notAfterS: leaf.notAfterS,
  };
}

/** Peers may send the root along; it counts only as the one that we have. */
function withoutRoots(chainDer: readonly Buffer[], trust: PathTrust): readonly Buffer[] {
  const last = chainDer[chainDer.length - 1];
  return last !== undefined && trust.x509Roots.some((root) => root.equals(last)) ? chainDer.slice(0, -1) : chainDer;
}

function rootOf(last: DecodedCertificate, trust: PathTrust): DecodedCertificate {
  let roots = decodedRoots.get(trust);
  if (roots === undefined) {
    roots = trust.x509Roots.map((der) => decodeCertificate(der, 'root'));
    decodedRoots.set(trust, roots);
  }
  const named = roots.filter((root) => root.subject.equals(last.issuer));
  // Two roots may share a name during a rotation: the one whose key fits is meant.
  const root = named.find((candidate) => last.x509.verify(candidate.publicKey));
  if (root === undefined) throw svidInvalid('unknown_root', 'root', 'the path leads to no root of this trust domain');
  return root;
}

function checkSignatures(path: readonly DecodedCertificate[]): void {
  for (let index = 0; index < path.length - 1; index += 1) {
    const subject = path[index] as DecodedCertificate;
    const issuer = path[index + 1] as DecodedCertificate;
    if (!SIGNATURE_ALGORITHMS.has(subject.signatureAlgorithm)) {
      throw svidInvalid('signature_algorithm', placeIn(path, index), subject.signatureAlgorithm);
    }
    if (!subject.issuer.equals(issuer.subject) || !subject.x509.verify(issuer.publicKey)) {
      throw svidInvalid('signature', placeIn(path, index), 'was not issued by the next certificate');
    }
    // SVIDs are revoked, and bound to WITs, by hash; ours are issued by P-256 keys.
    if (
      index === 0 &&
      issuer.publicKey.asymmetricKeyDetails?.namedCurve === 'prime256v1' &&
      !hasLowS(subject.signature)
    ) {
      throw svidInvalid('signature', 'leaf', 's is not in the lower half');
    }
  }
}

function checkCommon(certificate: DecodedCertificate, place: string, nowS: number): void {
  if (certificate.version !== 2) throw svidInvalid('version', place, 'not X.509 version 3');
  if (certificate.unknownCritical.length > 0) {
    throw svidInvalid('unknown_critical_extension', place, certificate.unknownCritical.join(' '));
  }
  if (!(nowS >= certificate.notBeforeS)) {
    throw svidInvalid('not_yet_valid', place, `begins ${certificate.notBeforeS}, our clock ${Math.floor(nowS)}`);
  }
  if (!(nowS <= certificate.notAfterS)) {
    throw svidInvalid('expired', place, `ended ${certificate.notAfterS}, our clock ${Math.floor(nowS)}`);
  }
}

/** An issuing certificate at `index` of the path, counted from the leaf. */
function checkAuthority(
  certificate: DecodedCertificate,
  place: string,
  index: number,
  isRoot: boolean,
  purpose: Purpose,
): void {
  const { basicConstraints, keyUsage, extendedKeyUsage } = certificate;
  if (basicConstraints?.ca !== true) throw svidInvalid('basic_constraints', place, 'is no certificate authority');
  if (!isRoot && !basicConstraints.critical) throw svidInvalid('basic_constraints', place, 'is not critical');
  // RFC 5280 section 4.2.1.9: intermediates that may follow below this one.
  if (basicConstraints.pathLength !== null && index - 1 > basicConstraints.pathLength) {
    throw svidInvalid('path_length', place, `allows ${basicConstraints.pathLength} below it`);
  }
  // A root is trusted because the bundle holds it; operators' roots often have no key usage. One that has must allow issuing.
  if (keyUsage === null ? !isRoot : !keyUsage.keyCertSign)
    throw svidInvalid('key_usage', place, 'may not sign certificates');
  if (extendedKeyUsage !== null && !extendedKeyUsage.includes(EXTENDED_KEY_USAGE[purpose])) {
    throw svidInvalid('extended_key_usage', place, `is not for a TLS ${purpose}`);
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey;
  const strong =
    (type === 'rsa' && (details?.modulusLength ?? 0) >= MIN_RSA_BITS) ||
    (type === 'ec' && CA_CURVES.includes(details?.namedCurve ?? ''));
  if (!strong) throw svidInvalid('key', place, 'not RSA from 2048 bits, P-256 or P-384');
}

/** The constraints of each authority bind every certificate below it. */
function checkConstraints(path: readonly DecodedCertificate[]): void {
  for (const [above, { nameConstraints }] of path.entries()) {
    if (nameConstraints === null) continue;
    if (above === 0) throw svidInvalid('name_constraints', 'leaf', 'a leaf constrains nobody');
    checkBelow(path, above, nameConstraints);
  }
}

function checkBelow(path: readonly DecodedCertificate[], above: number, constraints: NameConstraints): void {
  for (let index = above - 1; index >= 0; index -= 1) {
    checkNameConstraints(path[index] as DecodedCertificate, placeIn(path, index), constraints);
  }
}

function checkLeaf(leaf: DecodedCertificate, trust: PathTrust): SpiffeId {
  const { basicConstraints, keyUsage, extendedKeyUsage, publicKey } = leaf;
  if (basicConstraints === null || basicConstraints.ca) {
    throw svidInvalid('basic_constraints', 'leaf', 'does not say that it is no certificate authority');
  }
  if (
    keyUsage === null ||
    !keyUsage.critical ||
    !keyUsage.digitalSignature ||
    keyUsage.keyCertSign ||
    keyUsage.crlSign
  ) {
    throw svidInvalid('key_usage', 'leaf', 'is not critical and for digital signatures alone');
  }
  if (
    extendedKeyUsage === null ||
    !Object.values(EXTENDED_KEY_USAGE).every((usage) => extendedKeyUsage.includes(usage))
  ) {
    throw svidInvalid('extended_key_usage', 'leaf', 'is not for TLS servers and clients');
  }
  if (publicKey.asymmetricKeyType !== 'ec' || publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw svidInvalid('key', 'leaf', 'not P-256');
  }
  const name = leaf.names[0];
  if (leaf.names.length !== 1 || name?.kind !== NAME_KIND.uri) {
    throw svidInvalid('uri_san', 'leaf', 'does not have one URI as its only alternative name');
  }
  // RFC 5280 section 4.2.1.6: where the subject is empty, the name that counts is critical.
  if (leaf.subjectIsEmpty && !leaf.namesCritical) throw svidInvalid('uri_san', 'leaf', 'is not critical');
  const spiffeId = spiffeIdOf(name.text);
  if (trustDomainOf(spiffeId) !== trust.trustDomain) {
    throw svidInvalid('trust_domain', 'leaf', `\`${trustDomainOf(spiffeId)}\` is not \`${trust.trustDomain}\``);
  }
  return spiffeId;
}

function spiffeIdOf(uri: string): SpiffeId {
  try {
    return parseSpiffeId(uri);
  } catch (cause) {
    if (!(cause instanceof BehalfError)) throw cause;
    throw svidInvalid('spiffe_id', 'leaf', String(cause.detail['why']), cause);
  }
}

function placeOf(index: number): string {
  return index === 0 ? 'leaf' : `intermediate ${index}`;
}

function placeIn(path: readonly DecodedCertificate[], index: number): string {
  return index === path.length - 1 ? 'root' : placeOf(index);
}
