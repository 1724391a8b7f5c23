/**
 * Certificate requests (PKCS#10, RFC 2986): made by a workload over a key of its own, read by the certificate authority for
 * that key alone. Its subject and attributes mean nothing here (DESIGN section 3).
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { BehalfError } from '../../errors/index.ts';
import { algorithmOf, distinguishedName, publicKeyInfo } from './build-certificate.ts';

/** A request over a P-256 key fits in a few hundred bytes. */
const MAX_CSR_BYTES = 8192;
const OID_EC_SHA256 = '1.2.840.10045.4.3.2';

/** Makes a request for a P-256 key pair, with an empty subject; gives its DER. */
export function makeCsr(keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject }): Buffer {
  const request = new pkijs.CertificationRequest({
    version: 0,
    subject: distinguishedName({}),
    subjectPublicKeyInfo: publicKeyInfo(keys.publicKey),
    // RFC 2986 section 4.1: attributes are not optional, an empty set is.
    attributes: [],
    signatureAlgorithm: algorithmOf(keys.publicKey).identifier,
  });
  // pkijs marks this method protected, though its own documentation gives it for signing with keys kept elsewhere.
  const tbs = (request as unknown as { encodeTBS(): asn1js.Sequence }).encodeTBS().toBER();
  request.tbsView = new Uint8Array(tbs);
  const signature = Uint8Array.from(sign('sha256', Buffer.from(tbs), keys.privateKey));
  request.signatureValue = new asn1js.BitString({ valueHex: signature.buffer });
  return Buffer.from(request.toSchema(false).toBER());
}

/**
 * Takes a request's key, after its signature has shown that the sender holds it.
 * @throws {BehalfError} `csr_invalid`
 */
export function parseCsr(der: Buffer): KeyObject {
  if (der.length > MAX_CSR_BYTES) throw invalid('too large');
  const request = decode(der);
  const publicKey = keyOf(request);
  if (publicKey.asymmetricKeyType !== 'ec' || publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw invalid('the key is not P-256');
  }
  // RFC 5480 section 2.1.1: the curve by its name; explicit parameters, which many readers refuse or misjudge, would go into the
  // certificate as they are. The point in full, as all of ours.
  if (!spkiOf(request).equals(canonicalSpki(publicKey))) throw invalid('the key is not in its plain form');
  if (request.signatureAlgorithm.algorithmId !== OID_EC_SHA256) throw invalid('not signed by ECDSA with SHA-256');
  // The decoder forgives lengths and padding outside of what is signed; DER has one form for each request.
  if (!Buffer.from(request.toSchema(false).toBER()).equals(der)) throw invalid('not DER');
  const { unusedBits, valueHexView } = request.signatureValue.valueBlock;
  const signature = Buffer.from(valueHexView);
  if (unusedBits !== 0 || !verify('sha256', request.tbsView, publicKey, signature))
    throw invalid('the signature does not verify');
  return publicKey;
}

function decode(der: Buffer): pkijs.CertificationRequest {
  try {
    return pkijs.CertificationRequest.fromBER(der);
  } catch (cause) {
    throw invalid('not a PKCS#10 request', cause);
  }
}

function spkiOf(request: pkijs.CertificationRequest): Buffer {
  return Buffer.from(request.subjectPublicKeyInfo.toSchema().toBER());
}

function canonicalSpki(key: KeyObject): Buffer {
  const plain = createPublicKey({ key: key.export({ format: 'jwk' }), format: 'jwk' });
  return plain.export({ type: 'spki', format: 'der' });
}

function keyOf(request: pkijs.CertificationRequest): KeyObject {
  try {
    return createPublicKey({ key: spkiOf(request), format: 'der', type: 'spki' });
  } catch (cause) {
    throw invalid('the key cannot be read', cause);
  }
}

function invalid(why: string, cause?: unknown): BehalfError {
  return new BehalfError('csr_invalid', { why }, { cause });
}
