/**
 * Makes a certificate authority in an empty directory: hierarchy, keys sealed under the passphrase, first bundle document.
 * It ends with a trial: an SVID of the new authority must pass the validation that every peer will use.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../errors/index.ts';
import {
  type MeshBundleDocument,
  parseMeshBundle,
  parseTrustDomain,
  partId,
  type TrustDomain,
} from '../identity/index.ts';
import { openDataDirectory, writeFileAtomically } from '../identity/own/index.ts';
import { certificateS256, decodeCertificate } from '../identity/path-validation/index.ts';
import { namedJwk } from './authorities/key-name.ts';
import { type Authorities, makeAuthorities, makeAuthoritiesUnder } from './authorities/make-authorities.ts';
import { readPkcs12 } from './authorities/read-pkcs12.ts';
import { BUNDLE_FILE, writeFirstDocument } from './bundle/mesh-document.ts';
import { createIssuer } from './issue/issuer.ts';
import { inTransaction, openDatabase } from './store/database.ts';
import { readSetting, writeChain, writeKey, writeSetting } from './store/key-store.ts';
import { newVaultParameters, openVault } from './store/vault.ts';

export interface InitOptions {
  readonly dataDir: string;
  readonly trustDomain: string;
  readonly passphrase: string;
  /** An operator's own CA: the file's bytes and its passphrase. Its key is used once and not kept. */
  readonly pkcs12?: { readonly data: Buffer; readonly passphrase: string };
  /** Seconds since the epoch; the machine's clock if absent. */
  readonly nowS?: number;
}

/** What was made; every member is public. */
export interface InitResult {
  readonly trustDomain: TrustDomain;
  /** The bootstrap trust that every other part is given. */
  readonly bundleFile: string;
  /** base64url SHA-256 of the root's DER. */
  readonly rootS256: string;
  readonly rootNotAfterS: number;
  readonly issuingNotAfterS: number;
}

interface SigningKeys {
  readonly wit: KeyObject;
  readonly bundle: KeyObject;
  readonly liveState: KeyObject;
}

const REFRESH_HINT_S = 300;
const WORLD_READABLE = 0o644;
const TRIAL_LIFE_S = 60;

/**
 * Makes the authority. If we stop before the transaction commits, the directory counts as empty; after it, `startCa` writes
 * the bundle file anew.
 * @throws {BehalfError} `spiffe_id_invalid`, `key_unusable` (passphrase, PKCS#12), `data_directory_unusable` (also if it
 *   holds an authority already), `svid_invalid` if peers would not take what the operator's CA permits
 */
export async function initCa(options: InitOptions): Promise<InitResult> {
  const { dataDir, passphrase, pkcs12 } = options;
  const trustDomain = parseTrustDomain(options.trustDomain);
  const nowS = Math.floor(options.nowS ?? Date.now() / 1000);
  const vaultParameters = newVaultParameters();
  const vault = openVault(passphrase, vaultParameters);
  const authorities =
    pkcs12 === undefined
      ? await makeAuthorities(trustDomain, nowS)
      : await makeAuthoritiesUnder(readPkcs12(pkcs12.data, pkcs12.passphrase), trustDomain, nowS);
  const keys: SigningKeys = {
    wit: generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey,
    bundle: generateKeyPairSync('ed25519').privateKey,
    liveState: generateKeyPairSync('ed25519').privateKey,
  };
  const document = firstDocument(trustDomain, authorities.rootDer, keys);
  await tryOut(trustDomain, authorities, keys, document, nowS);

  openDataDirectory(dataDir);
  const database = openDatabase(dataDir);
  try {
    inTransaction(database, () => {
      refuseSecondInit(database, dataDir);
      writeSetting(database, 'trust_domain', trustDomain);
      writeSetting(database, 'vault', JSON.stringify(vaultParameters));
      if (authorities.rootKey !== null) writeKey(database, vault, 'root', authorities.rootKey);
      writeKey(database, vault, 'issuing', authorities.issuingKey);
      writeKey(database, vault, 'wit', keys.wit);
      writeKey(database, vault, 'bundle', keys.bundle);
      writeKey(database, vault, 'live-state', keys.liveState);
      writeChain(database, 'root', [authorities.rootDer]);
      writeChain(database, 'issuing', authorities.issuingChain);
      writeFirstDocument(database, document);
    });
  } finally {
    database.close();
  }
  const bundleFile = join(dataDir, BUNDLE_FILE);
  writeFileAtomically(bundleFile, JSON.stringify(document), WORLD_READABLE);
  return {
    trustDomain,
    bundleFile,
    rootS256: certificateS256(authorities.rootDer),
    rootNotAfterS: decodeCertificate(authorities.rootDer, 'root').notAfterS,
    issuingNotAfterS: decodeCertificate(authorities.issuingChain[0] as Buffer, 'issuing').notAfterS,
  };
}

function refuseSecondInit(database: DatabaseSync, dataDir: string): void {
  if (readSetting(database, 'trust_domain') !== null) {
    throw new BehalfError('data_directory_unusable', {
      directory: dataDir,
      why: 'it already holds a certificate authority',
    });
  }
}

function firstDocument(trustDomain: TrustDomain, rootDer: Buffer, keys: SigningKeys): MeshBundleDocument {
  const rootJwk = new X509Certificate(rootDer).publicKey.export({ format: 'jwk' });
  return {
    keys: [
      { ...rootJwk, use: 'x509-svid', x5c: [rootDer.toString('base64')] },
      { ...namedJwk(keys.wit), use: 'wit-svid' },
    ],
    spiffe_sequence: 1,
    spiffe_refresh_hint: REFRESH_HINT_S,
    trust_domain: trustDomain,
    behalf: {
      bundle_keys: [namedJwk(keys.bundle)],
      issuer: '',
      jwks_uri: '',
      root_keys: [],
      policy_keys: [],
      live_state_keys: { authority: [], ca: [namedJwk(keys.liveState)] },
      log_keys: [],
    },
  };
}

/** Issues once in memory: an operator's root may carry constraints under which nothing of ours would be taken. */
async function tryOut(
  trustDomain: TrustDomain,
  authorities: Authorities,
  keys: SigningKeys,
  document: MeshBundleDocument,
  nowS: number,
): Promise<void> {
  const issuer = createIssuer({
    trustDomain,
    issuingKey: authorities.issuingKey,
    chain: authorities.issuingChain,
    witKey: () => ({ key: keys.wit, kid: namedJwk(keys.wit).kid }),
    bundle: () => parseMeshBundle(document),
    clock: () => nowS,
  });
  const pair = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const spiffeId = partId(trustDomain, 'ca');
  await issuer.issue({
    spiffeId,
    publicKey: pair().publicKey,
    linkKey: createPublicKey(pair().privateKey),
    ttlS: TRIAL_LIFE_S,
  });
}
