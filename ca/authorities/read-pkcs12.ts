/**
 * Opens an operator's CA from a PKCS#12 file (RFC 7292). node-forge only decrypts and takes apart here, old encryption
 * included; keys and certificates leave as DER and are used by `node:crypto` alone.
 */
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import forge from 'node-forge';
import { BehalfError } from '../../errors/index.ts';

/** An operator's CA: its key, and its certificates from the issuing one up to the self-signed root. */
export interface OperatorCa {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** DER; the first belongs to the key, the last is the root. They may be the same. */
  readonly chain: readonly Buffer[];
}

const MAX_FILE_BYTES = 1_048_576;
const MAX_CERTIFICATES = 5;

/**
 * Takes the file's bytes and its passphrase.
 * @throws {BehalfError} `key_unusable` with what is missing or wrong
 */
export function readPkcs12(data: Buffer, passphrase: string): OperatorCa {
  if (data.length > MAX_FILE_BYTES) throw unusable('the file is too large');
  const bags = openBags(data, passphrase);
  const keys = [...bags(forge.pki.oids['pkcs8ShroudedKeyBag']), ...bags(forge.pki.oids['keyBag'])].map(keyOf);
  const privateKey = keys[0];
  if (privateKey === undefined || keys.length !== 1) throw unusable(`holds ${keys.length} private keys, not one`);
  const publicKey = createPublicKey(privateKey);
  const certificates = bags(forge.pki.oids['certBag']).map(certificateOf);
  return { privateKey, publicKey, chain: chainOf(publicKey, certificates).map((certificate) => certificate.raw) };
}

function openBags(data: Buffer, passphrase: string): (bagType: string | undefined) => forge.pkcs12.Bag[] {
  try {
    const content = forge.asn1.fromDer(forge.util.createBuffer(data.toString('binary')));
    const file = forge.pkcs12.pkcs12FromAsn1(content, passphrase);
    return (bagType = '') => file.getBags({ bagType })[bagType] ?? [];
  } catch (cause) {
    throw unusable('wrong passphrase, or not a PKCS#12 file', cause);
  }
}

function keyOf(bag: forge.pkcs12.Bag): KeyObject {
  try {
    // node-forge has no elliptic curves: such a key it leaves as PKCS#8.
    if (bag.key !== null && bag.key !== undefined) return createPrivateKey(forge.pki.privateKeyToPem(bag.key));
    return createPrivateKey({ key: derOf(bag.asn1), format: 'der', type: 'pkcs8' });
  } catch (cause) {
    throw unusable('the private key cannot be read', cause);
  }
}

function certificateOf(bag: forge.pkcs12.Bag): X509Certificate {
  try {
    const asn1 = bag.cert !== null && bag.cert !== undefined ? forge.pki.certificateToAsn1(bag.cert) : bag.asn1;
    return new X509Certificate(derOf(asn1));
  } catch (cause) {
    throw unusable('a certificate cannot be read', cause);
  }
}

function derOf(asn1: forge.asn1.Asn1): Buffer {
  return Buffer.from(forge.asn1.toDer(asn1).getBytes(), 'binary');
}

/** From the certificate of the key up to its root; each step is checked by signature, not by name alone. */
function chainOf(publicKey: KeyObject, certificates: readonly X509Certificate[]): X509Certificate[] {
  const first = certificates.find((certificate) => certificate.publicKey.equals(publicKey));
  if (first === undefined) throw unusable('holds no certificate for its private key');
  const chain = [first];
  let top = first;
  while (!isSelfSigned(top)) {
    const below = top;
    const issuer = certificates.find((candidate) => below.checkIssued(candidate) && below.verify(candidate.publicKey));
    if (issuer === undefined) throw unusable('holds no path from its certificate to a self-signed root');
    if (chain.length >= MAX_CERTIFICATES) throw unusable(`its path has more than ${MAX_CERTIFICATES} certificates`);
    chain.push(issuer);
    top = issuer;
  }
  return chain;
}

function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

function unusable(why: string, cause?: unknown): BehalfError {
  return new BehalfError('key_unusable', { file: 'PKCS#12', why }, { cause });
}
