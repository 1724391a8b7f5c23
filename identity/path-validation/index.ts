/** X.509-SVID path validation. Loads pkijs. */
export { certificateS256, decodeCertificate } from './decode-certificate.ts';
export type { PathRule } from './svid-invalid.ts';
export {
  MAX_PATH_CERTIFICATES,
  type PathTrust,
  type Purpose,
  type VerifiedSvid,
  validatePath,
} from './validate-path.ts';
