/**
 * What a process keeps of its identity between two runs: keys, SVID, WIT and the newest bundle, in one file of mode 0600 in
 * its own directory. Trusted for secrecy by the file system's rights alone; whoever reads it is this workload until the SVID
 * ends. Nothing in it is believed: it is judged again when it is read.
 */
import { createPrivateKey } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BehalfError } from '../../errors/index.ts';
import { type MeshBundle, parseMeshBundle } from '../bundle/index.ts';
import { certificatesFromPem } from '../svid/pem.ts';
import type { Issuance } from './issued-identity.ts';
import type { IssuedIdentity } from './own-identity.ts';
import { writeFileAtomically } from './write-file.ts';

const FILE = 'identity.json';
const OWNER_ONLY = 0o600;

/** What was stored, parsed but not judged. */
export interface StoredIdentity {
  readonly issuance: Issuance | null;
  readonly bundle: MeshBundle;
}

/**
 * Makes the directory where it is missing and takes all others' rights away.
 * @throws {BehalfError} `data_directory_unusable`
 */
export function openDataDirectory(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    chmodSync(dataDir, 0o700);
  } catch (cause) {
    throw new BehalfError('data_directory_unusable', { directory: dataDir }, { cause });
  }
}

/** Null where nothing is stored, or nothing that can be read: then the workload attests again. */
export function readStoredIdentity(dataDir: string): StoredIdentity | null {
  try {
    const stored = JSON.parse(readFileSync(join(dataDir, FILE), 'utf8')) as Record<string, unknown>;
    const bundle = parseMeshBundle(stored['bundle']);
    if (typeof stored['certificateChainPem'] !== 'string') return { issuance: null, bundle };
    return {
      bundle,
      issuance: {
        chain: certificatesFromPem(stored['certificateChainPem']),
        wit: String(stored['wit']),
        privateKey: createPrivateKey(String(stored['privateKeyPem'])),
        witKey: createPrivateKey(String(stored['witKeyPem'])),
      },
    };
  } catch {
    return null;
  }
}

/**
 * Replaces what is stored, as a whole. If we stop before the rename the old state stands, which still is a valid one.
 * @throws {BehalfError} `data_directory_unusable`
 */
export function storeIdentity(dataDir: string, identity: IssuedIdentity, bundle: MeshBundle): void {
  const { certificateChainPem, privateKeyPem, wit, witKey } = identity;
  const witKeyPem = witKey.export({ type: 'pkcs8', format: 'pem' });
  const content = { certificateChainPem, privateKeyPem, wit, witKeyPem, bundle: bundle.document };
  try {
    writeFileAtomically(join(dataDir, FILE), JSON.stringify(content), OWNER_ONLY);
  } catch (cause) {
    throw new BehalfError('data_directory_unusable', { directory: dataDir }, { cause });
  }
}
