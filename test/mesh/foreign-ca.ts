/** A CA of somebody else, made with OpenSSL, that certifies whatever SPIFFE ID it likes. */
import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SpiffeId } from '../../identity/index.ts';
import type { CurlCredentials } from './curl.ts';
import { debianProgram } from './debian.ts';

export interface ForeignCertificate extends CurlCredentials {
  readonly serial: Buffer;
}

/** A P-256 CA and a leaf by the X.509-SVID profile (SPIFFE X509-SVID section 4), right in everything but its issuer. */
export function foreignCertificate(folder: string, id: SpiffeId): ForeignCertificate {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const openssl = debianProgram('openssl', 'openssl');
  const file = (name: string): string => join(folder, name);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const quiet: ExecFileSyncOptions = { stdio: ['ignore', 'ignore', 'pipe'] };
  execFileSync(
    openssl,
    [
      ...['req', '-x509', ...key, '-keyout', file('ca.key'), '-out', file('ca.crt'), '-days', '1', '-subj', '/O=Other'],
      ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ],
    quiet,
  );
  execFileSync(openssl, ['req', ...key, '-keyout', file('leaf.key'), '-out', file('leaf.csr'), '-subj', '/'], quiet);
  writeFileSync(
    file('leaf.ext'),
    `subjectAltName=critical,URI:${id}
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
`,
  );
  execFileSync(
    openssl,
    [
      ...['x509', '-req', '-in', file('leaf.csr'), '-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-days', '1'],
      ...['-extfile', file('leaf.ext'), '-out', file('leaf.crt')],
    ],
    quiet,
  );
  const leaf = readFileSync(file('leaf.crt'), 'utf8');
  writeFileSync(file('chain.crt'), leaf + readFileSync(file('ca.crt'), 'utf8'));
  return {
    cert: file('chain.crt'),
    key: file('leaf.key'),
    serial: Buffer.from(new X509Certificate(leaf).serialNumber, 'hex'),
  };
}
