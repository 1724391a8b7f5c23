/** Making certificates and requests. Loads pkijs. */
export {
  algorithmOf,
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
export { certificatesFromPem, certificatesToPem } from './pem.ts';
