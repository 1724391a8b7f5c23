/**
 * Decodes a certificate (RFC 5280 section 4.1) into the facts that path validation judges. What cannot be decoded, an
 * extension that stands twice and trailing bytes are refused here; whether the facts are good is decided elsewhere.
 */
import { createHash, type KeyObject, X509Certificate } from 'node:crypto';
import * as pkijs from 'pkijs';
import { svidInvalid } from './svid-invalid.ts';

/** GeneralName kinds by their tag (RFC 5280 section 4.2.1.6). */
export const NAME_KIND = { directory: 4, uri: 6 } as const;

/** A name, of an alternative name or a constraint; the text of kinds other than URI is never judged and stays empty. */
export interface Name {
  readonly kind: number;
  readonly text: string;
}

export interface NameConstraints {
  readonly permitted: readonly Name[];
  readonly excluded: readonly Name[];
}

/** Bits of KeyUsage that matter here; null where the certificate has no such extension. */
export interface KeyUsage {
  readonly critical: boolean;
  readonly digitalSignature: boolean;
  readonly keyCertSign: boolean;
  readonly crlSign: boolean;
}

export interface DecodedCertificate {
  readonly der: Buffer;
  readonly x509: X509Certificate;
  readonly version: number;
  readonly publicKey: KeyObject;
  readonly signatureAlgorithm: string;
  readonly signature: Buffer;
  /** Lower-case hexadecimal. */
  readonly serialHex: string;
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly subjectIsEmpty: boolean;
  readonly notBeforeS: number;
  readonly notAfterS: number;
  readonly names: readonly Name[];
  readonly namesCritical: boolean;
  readonly basicConstraints: {
    readonly critical: boolean;
    readonly ca: boolean;
    readonly pathLength: number | null;
  } | null;
  readonly keyUsage: KeyUsage | null;
  readonly extendedKeyUsage: readonly string[] | null;
  readonly nameConstraints: NameConstraints | null;
  /** OIDs of critical extensions that this code does not process. */
  readonly unknownCritical: readonly string[];
}

const OID = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  extendedKeyUsage: '2.5.29.37',
} as const;
const PROCESSED: ReadonlySet<string> = new Set(Object.values(OID));
const MAX_CERTIFICATE_BYTES = 16_384;
/**
 * Decoding costs ten times as much as a lookup, and the same intermediates and peers come again and again. Only facts of the
 * bytes are kept, no judgement; whoever fills it with other certificates costs the others their saving and nothing else.
 */
const decodedByHash = new Map<string, DecodedCertificate>();
const MAX_DECODED = 256;

/** base64url SHA-256 of a certificate's DER: `x5t#S256` of RFC 8705. */
export function certificateS256(der: Buffer): string {
  return createHash('sha256').update(der).digest('base64url');
}

/**
 * Decodes one DER certificate. `place` names it in errors (`leaf`, `intermediate 1`, `root`).
 * @throws {BehalfError} `svid_invalid` with rule `encoding` or `extension_twice`
 */
export function decodeCertificate(der: Buffer, place: string): DecodedCertificate {
  if (der.length > MAX_CERTIFICATE_BYTES) throw svidInvalid('encoding', place, 'too large');
  const hash = certificateS256(der);
  const known = decodedByHash.get(hash);
  if (known !== undefined) return known;
  try {
    // A copy, since the caller's bytes may be a slice of something larger, or change.
    const decoded = decode(Buffer.from(der), place);
    const oldest = decodedByHash.size >= MAX_DECODED ? decodedByHash.keys().next().value : undefined;
    if (oldest !== undefined) decodedByHash.delete(oldest);
    decodedByHash.set(hash, decoded);
    return decoded;
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'BehalfError') throw cause;
    throw svidInvalid('encoding', place, 'not a certificate that can be decoded', cause);
  }
}

function decode(der: Buffer, place: string): DecodedCertificate {
  const x509 = new X509Certificate(der);
  // OpenSSL ignores bytes after the certificate; a hash over them would name another certificate than the one judged.
  if (!x509.raw.equals(der)) throw svidInvalid('encoding', place, 'bytes after the certificate');
  const certificate = pkijs.Certificate.fromBER(der);
  const extensions = extensionsOf(certificate, place);
  const alternative = extensions.get(OID.subjectAltName);
  return {
    der,
    x509,
    version: certificate.version,
    publicKey: x509.publicKey,
    signatureAlgorithm: certificate.signatureAlgorithm.algorithmId,
    signature: Buffer.from(certificate.signatureValue.valueBlock.valueHexView),
    serialHex: x509.serialNumber.toLowerCase(),
    subject: Buffer.from(certificate.subject.toSchema().toBER()),
    issuer: Buffer.from(certificate.issuer.toSchema().toBER()),
    subjectIsEmpty: certificate.subject.typesAndValues.length === 0,
    notBeforeS: certificate.notBefore.value.getTime() / 1000,
    notAfterS: certificate.notAfter.value.getTime() / 1000,
    names: alternative === undefined ? [] : parsed(alternative, pkijs.AltName).altNames.map(nameOf),
    namesCritical: alternative?.critical ?? false,
    basicConstraints: basicConstraintsOf(extensions.get(OID.basicConstraints)),
    keyUsage: keyUsageOf(extensions.get(OID.keyUsage)),
    extendedKeyUsage: extendedKeyUsageOf(extensions.get(OID.extendedKeyUsage)),
    nameConstraints: nameConstraintsOf(extensions.get(OID.nameConstraints)),
    unknownCritical: [...extensions.values()]
      .filter((extension) => extension.critical && !PROCESSED.has(extension.extnID))
      .map((extension) => extension.extnID),
  };
}

function extensionsOf(certificate: pkijs.Certificate, place: string): ReadonlyMap<string, pkijs.Extension> {
  const extensions = new Map<string, pkijs.Extension>();
  for (const extension of certificate.extensions ?? []) {
    // RFC 5280 section 4.2: not more than one instance. Readers would differ in which one they take.
    if (extensions.has(extension.extnID)) throw svidInvalid('extension_twice', place, extension.extnID);
    extensions.set(extension.extnID, extension);
  }
  return extensions;
}

function parsed<T>(extension: pkijs.Extension, kind: new () => T): T {
  const value: unknown = extension.parsedValue;
  // pkijs hands out a value with `parsingError` instead of throwing.
  if (!(value instanceof kind) || (value as { parsingError?: string }).parsingError !== undefined) {
    throw new Error(`extension ${extension.extnID} cannot be decoded`);
  }
  return value;
}

function nameOf(name: pkijs.GeneralName): Name {
  return { kind: name.type, text: name.type === NAME_KIND.uri ? String(name.value) : '' };
}

function basicConstraintsOf(extension: pkijs.Extension | undefined): DecodedCertificate['basicConstraints'] {
  if (extension === undefined) return null;
  const value = parsed(extension, pkijs.BasicConstraints);
  const length = value.pathLenConstraint;
  if (length !== undefined && typeof length !== 'number') throw new Error('path length is out of range');
  return { critical: extension.critical, ca: value.cA, pathLength: length ?? null };
}

function keyUsageOf(extension: pkijs.Extension | undefined): KeyUsage | null {
  if (extension === undefined) return null;
  const value: unknown = extension.parsedValue;
  const bits = (value as { valueBlock?: { valueHexView?: Uint8Array } } | undefined)?.valueBlock?.valueHexView;
  if (bits === undefined) throw new Error('key usage cannot be decoded');
  const first = bits[0] ?? 0;
  // RFC 5280 section 4.2.1.3: bit 0 is the highest of the first byte.
  return {
    critical: extension.critical,
    digitalSignature: (first & 0x80) !== 0,
    keyCertSign: (first & 0x04) !== 0,
    crlSign: (first & 0x02) !== 0,
  };
}

function extendedKeyUsageOf(extension: pkijs.Extension | undefined): readonly string[] | null {
  return extension === undefined ? null : parsed(extension, pkijs.ExtKeyUsage).keyPurposes;
}

function nameConstraintsOf(extension: pkijs.Extension | undefined): NameConstraints | null {
  if (extension === undefined) return null;
  const value = parsed(extension, pkijs.NameConstraints);
  return {
    permitted: (value.permittedSubtrees ?? []).map((subtree) => nameOf(subtree.base)),
    excluded: (value.excludedSubtrees ?? []).map((subtree) => nameOf(subtree.base)),
  };
}
