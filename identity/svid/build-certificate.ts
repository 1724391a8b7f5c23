/**
 * Builds and signs certificates (RFC 5280 section 4): the encoding only. What goes into an SVID, an intermediate or a root is
 * decided by the certificate authority. Signing goes through `CertificateSigner`, so that the key may live elsewhere.
 */
import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { NAME_KIND } from '../path-validation/decode-certificate.ts';
import { hasLowS } from '../path-validation/low-s.ts';

/** A key that signs certificates: ECDSA P-256 or P-384, or RSA PKCS#1, with the SHA-2 hash that fits. */
export interface CertificateSigner {
  readonly publicKey: KeyObject;
  /** Signs with the algorithm that `algorithmOf` names for the public key; ECDSA signatures in DER, of P-256 with s <= n/2. */
  sign(data: Buffer): Promise<Buffer>;
}

/** What the certificate says. */
export interface CertificateContent {
  readonly subject: pkijs.RelativeDistinguishedNames;
  readonly issuer: pkijs.RelativeDistinguishedNames;
  readonly publicKey: KeyObject;
  readonly notBeforeS: number;
  readonly notAfterS: number;
  readonly extensions: readonly pkijs.Extension[];
  /** Positive, at most 20 bytes (RFC 5280 section 4.1.2.2); 16 random bytes if absent. */
  readonly serial?: Buffer;
}

const OID_EC_SHA256 = '1.2.840.10045.4.3.2';
const OID_EC_SHA384 = '1.2.840.10045.4.3.3';
const OID_RSA_SHA256 = '1.2.840.113549.1.1.11';
const OID_COMMON_NAME = '2.5.4.3';
const OID_ORGANIZATION = '2.5.4.10';
const SERIAL_BYTES = 16;
const KEY_USAGE_BIT = { digitalSignature: 0x80, keyCertSign: 0x04, crlSign: 0x02 } as const;

/** A signer whose private key is in this process. */
export function localSigner(privateKey: KeyObject, publicKey: KeyObject): CertificateSigner {
  const { hash } = algorithmOf(publicKey);
  if (publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    return { publicKey, sign: async (data) => sign(hash, data, privateKey) };
  }
  return {
    publicKey,
    sign: async (data) => {
      // Half of all signatures are in the upper form, which peers refuse in SVIDs; another try is another signature.
      let signature = sign(hash, data, privateKey);
      while (!hasLowS(signature)) signature = sign(hash, data, privateKey);
      return signature;
    },
  };
}

/** Encodes the certificate, has it signed and gives its DER. */
export async function buildCertificate(content: CertificateContent, signer: CertificateSigner): Promise<Buffer> {
  const algorithm = algorithmOf(signer.publicKey).identifier;
  const certificate = new pkijs.Certificate({
    version: 2,
    serialNumber: new asn1js.Integer({ valueHex: exact(content.serial ?? randomSerial()) }),
    signature: algorithm,
    signatureAlgorithm: algorithm,
    issuer: content.issuer,
    subject: content.subject,
    notBefore: time(content.notBeforeS),
    notAfter: time(content.notAfterS),
    subjectPublicKeyInfo: publicKeyInfo(content.publicKey),
    extensions: [...content.extensions],
  });
  const tbs = certificate.encodeTBS().toBER();
  const signature = await signer.sign(Buffer.from(tbs));
  certificate.tbsView = new Uint8Array(tbs);
  certificate.signatureValue = new asn1js.BitString({ valueHex: exact(signature) });
  return Buffer.from(certificate.toSchema(false).toBER());
}

/** The name that a certificate has as its subject, byte for byte, to stand as the issuer of others. */
export function subjectOf(der: Buffer): pkijs.RelativeDistinguishedNames {
  return pkijs.Certificate.fromBER(der).subject;
}

/** A name of organisation and common name; both absent gives the empty name. */
export function distinguishedName(parts: {
  organization?: string;
  commonName?: string;
}): pkijs.RelativeDistinguishedNames {
  const rdn = (type: string, value: string | undefined): asn1js.Set[] => {
    if (value === undefined) return [];
    const attribute = new asn1js.Sequence({
      value: [new asn1js.ObjectIdentifier({ value: type }), new asn1js.Utf8String({ value })],
    });
    return [new asn1js.Set({ value: [attribute] })];
  };
  // pkijs would put all attributes into one set when it encodes; what it has decoded it keeps as it was.
  const name = new asn1js.Sequence({
    value: [...rdn(OID_ORGANIZATION, parts.organization), ...rdn(OID_COMMON_NAME, parts.commonName)],
  });
  return pkijs.RelativeDistinguishedNames.fromBER(name.toBER());
}

/** Extensions by name, each as RFC 5280 section 4.2.1 gives it. */
export const extension = {
  basicConstraints: (value: { ca: boolean; pathLength?: number }, critical = true): pkijs.Extension =>
    make(
      '2.5.29.19',
      critical,
      new pkijs.BasicConstraints({
        cA: value.ca,
        ...(value.pathLength === undefined ? {} : { pathLenConstraint: value.pathLength }),
      }).toSchema(),
    ),
  keyUsage: (usages: readonly (keyof typeof KEY_USAGE_BIT)[], critical = true): pkijs.Extension => {
    const bits = usages.reduce((all, usage) => all | KEY_USAGE_BIT[usage], 0);
    // DER of named bits: trailing zero bits are left out.
    const unusedBits = bits === 0 ? 0 : Math.clz32(bits & -bits) ^ 31;
    return make('2.5.29.15', critical, new asn1js.BitString({ valueHex: exact(Buffer.from([bits])), unusedBits }));
  },
  extendedKeyUsage: (purposes: readonly string[], critical = false): pkijs.Extension =>
    make('2.5.29.37', critical, new pkijs.ExtKeyUsage({ keyPurposes: [...purposes] }).toSchema()),
  subjectAltName: (uris: readonly string[], critical: boolean): pkijs.Extension =>
    make(
      '2.5.29.17',
      critical,
      new pkijs.GeneralNames({
        names: uris.map((uri) => new pkijs.GeneralName({ type: NAME_KIND.uri, value: uri })),
      }).toSchema(),
    ),
  /** Permits URIs of one host, a SPIFFE trust domain. */
  permittedUriHost: (host: string, critical = true): pkijs.Extension =>
    make(
      '2.5.29.30',
      critical,
      new pkijs.NameConstraints({
        permittedSubtrees: [
          new pkijs.GeneralSubtree({ base: new pkijs.GeneralName({ type: NAME_KIND.uri, value: host }) }),
        ],
      }).toSchema(),
    ),
  subjectKeyIdentifier: (key: KeyObject): pkijs.Extension =>
    make('2.5.29.14', false, new asn1js.OctetString({ valueHex: exact(keyIdentifier(key)) })),
  authorityKeyIdentifier: (issuerKey: KeyObject): pkijs.Extension =>
    make(
      '2.5.29.35',
      false,
      new pkijs.AuthorityKeyIdentifier({
        keyIdentifier: new asn1js.OctetString({ valueHex: exact(keyIdentifier(issuerKey)) }),
      }).toSchema(),
    ),
};

/** TLS server and client (RFC 5280 section 4.2.1.12). */
export const EXTENDED_KEY_USAGES = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2' } as const;

/** The public key as pkijs wants it. */
export function publicKeyInfo(key: KeyObject): pkijs.PublicKeyInfo {
  return pkijs.PublicKeyInfo.fromBER(exact(key.export({ type: 'spki', format: 'der' })));
}

/** Signature algorithm for a key: identifier for the encoding, hash for `node:crypto`. */
export function algorithmOf(key: KeyObject): { readonly identifier: pkijs.AlgorithmIdentifier; readonly hash: string } {
  if (key.asymmetricKeyType === 'rsa') {
    // RFC 4055 section 5: parameters are NULL for PKCS#1.
    const identifier = new pkijs.AlgorithmIdentifier({
      algorithmId: OID_RSA_SHA256,
      algorithmParams: new asn1js.Null(),
    });
    return { identifier, hash: 'sha256' };
  }
  const wide = key.asymmetricKeyDetails?.namedCurve === 'secp384r1';
  const identifier = new pkijs.AlgorithmIdentifier({ algorithmId: wide ? OID_EC_SHA384 : OID_EC_SHA256 });
  return { identifier, hash: wide ? 'sha384' : 'sha256' };
}

/** RFC 5280 section 4.2.1.2 method 1: SHA-1 over the key's bits. It names a key and protects nothing. */
function keyIdentifier(key: KeyObject): Buffer {
  return createHash('sha1').update(publicKeyInfo(key).subjectPublicKey.valueBlock.valueHexView).digest();
}

function randomSerial(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  // Positive and without leading zero bytes, so that its text is the same everywhere.
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
  return serial;
}

function make(oid: string, critical: boolean, value: asn1js.BaseBlock): pkijs.Extension {
  return new pkijs.Extension({ extnID: oid, critical, extnValue: value.toBER() });
}

/** RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050; whole seconds. */
function time(seconds: number): pkijs.Time {
  const value = new Date(Math.floor(seconds) * 1000);
  return new pkijs.Time({ type: value.getUTCFullYear() < 2050 ? 0 : 1, value });
}

/** The bytes in an ArrayBuffer of their own, since Node's small Buffers share one. */
function exact(bytes: Buffer): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}
