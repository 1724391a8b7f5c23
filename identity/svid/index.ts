/** Making certificates and requests. Loads pkijs. */
export {
  buildCertificate,
  type CertificateContent,
  type CertificateSigner,
  distinguishedName,
  EXTENDED_KEY_USAGES,
  extension,
  localSigner,
  subjectOf,
} from './build-certificate.ts';
export { makeCsr, parseCsr } from './csr.ts';
export { certificatesToPem } from './pem.ts';
