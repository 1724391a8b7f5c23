/** Writes an identity as the files that programs which are no sidecar take: `tls.crt tls.key wit.jwt wit.key bundle.pem bundle.json`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MeshBundle } from '../../identity/index.ts';
import type { IssuedIdentity } from '../../identity/own/own-identity.ts';

/** Writes all of them into `folder`, which is the owner's alone; keys get mode 0600. */
export function writeIdentityFiles(folder: string, identity: IssuedIdentity, bundle: MeshBundle): void {
  const write = (name: string, content: string): void => writeFileSync(join(folder, name), content, { mode: 0o600 });
  write('tls.crt', identity.certificateChainPem);
  write('tls.key', identity.privateKeyPem);
  write('wit.jwt', identity.wit);
  write('wit.key', identity.witKey.export({ type: 'pkcs8', format: 'pem' }) as string);
  write('bundle.pem', bundle.x509Roots.map(certificatePem).join(''));
  write('bundle.json', `${JSON.stringify(bundle.document, null, 2)}\n`);
}

function certificatePem(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n').trim()}\n-----END CERTIFICATE-----\n`;
}
