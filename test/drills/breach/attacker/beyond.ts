/**
 * What stands outside the attacked mesh: an OpenID provider whose tokens it takes, one that its authority knows and its policy does
 * not name, servers that it calls, and certificates that clients made for themselves.
 */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OtherProvider, startOtherProvider } from '../../../../authority/testing/other-provider.ts';
import { sha256Base64url } from '../../../../identity/jws.ts';
import { debianProgram } from '../../../mesh/debian.ts';
import { createOutsideCa, type OutsideServer, startOutside } from '../../../mesh/outside-world.ts';

export interface SelfSigned {
  /** PEM. */
  readonly key: string;
  readonly cert: string;
  readonly keyFile: string;
  readonly certificateFile: string;
  /** base64url SHA-256 of the certificate, as a token is bound to it (RFC 8705). */
  readonly s256: string;
}

export interface Beyond {
  /** The provider that the policy names, and one that it does not. */
  readonly named: OtherProvider;
  readonly unnamed: OtherProvider;
  /** Called over TLS, gets a token. */
  readonly bank: OutsideServer;
  /** Its CA, in PEM. */
  readonly bankCa: string;
  /** Called in the clear. */
  readonly plain: OutsideServer;
  /** The certificate of the entry of `desk`, of a client, and of another one. */
  readonly desk: SelfSigned;
  readonly client: SelfSigned;
  readonly thief: SelfSigned;
  close(): Promise<void>;
}

export const BANK_NAME = 'api.bank.example';

export async function startBeyond(): Promise<Beyond> {
  const folder = mkdtempSync(join(tmpdir(), 'behalf-beyond-'));
  const ca = createOutsideCa(join(folder, 'ca'));
  const [named, unnamed] = [await startOtherProvider(), await startOtherProvider()];
  const [bank, plain] = [await startOutside(ca.issue(BANK_NAME)), await startOutside(null)];
  return {
    named,
    unnamed,
    bank,
    bankCa: ca.pem,
    plain,
    desk: selfSigned(folder, 'desk'),
    client: selfSigned(folder, 'client'),
    thief: selfSigned(folder, 'thief'),
    async close() {
      for (const server of [named, unnamed, bank, plain]) await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function selfSigned(folder: string, name: string): SelfSigned {
  const own = join(folder, name);
  mkdirSync(own);
  const files = { keyFile: join(own, 'key.pem'), certificateFile: join(own, 'cert.pem') };
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
  const out = ['-keyout', files.keyFile, '-out', files.certificateFile, '-subj', `/CN=${name}`];
  execFileSync(debianProgram('openssl', 'openssl'), ['req', '-x509', ...curve, ...out], { stdio: 'ignore' });
  const cert = readFileSync(files.certificateFile, 'utf8');
  const s256 = sha256Base64url(new X509Certificate(cert).raw);
  return { ...files, key: readFileSync(files.keyFile, 'utf8'), cert, s256 };
}
