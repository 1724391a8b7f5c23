/**
 * A certificate authority for tests of parts that may not import `ca/`: a real root, a real intermediate with the same
 * profile, real SVIDs and WITs, made in process. What it issues passes the same validation as the CA's. A test may alter a
 * certificate's content to make a bad one.
 */
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { type MeshBundle, type MeshBundleDocument, type PartKeys, parseMeshBundle } from '../bundle/index.ts';
import { CERTIFICATE_BACKDATE_S, type Clock, systemClock } from '../clock.ts';
import { assembleIdentity } from '../own/issued-identity.ts';
import type { IssuedIdentity, OwnIdentity } from '../own/own-identity.ts';
import { certificateS256 } from '../path-validation/index.ts';
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../spiffe-id.ts';
import {
  buildCertificate,
  type CertificateContent,
  distinguishedName,
  EXTENDED_KEY_USAGES,
  extension,
  localSigner,
  subjectOf,
} from '../svid/index.ts';
import { mintWit } from '../wit/index.ts';

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** Changes a certificate's content before it is signed. */
export type Alter = (content: CertificateContent) => CertificateContent;

export interface TestIssuer {
  readonly trustDomain: TrustDomain;
  readonly rootDer: Buffer;
  readonly intermediateDer: Buffer;
  readonly intermediateKeys: KeyPair;
  bundle(): MeshBundle;
  /** Publishes keys of parts: the next bundle has them, and identities tell their listeners. */
  publish(keys: Partial<PartKeys>): MeshBundle;
  /** A chain for a SPIFFE ID (a bare string, so that a test may ask for a bad one). */
  leaf(
    spiffeId: string,
    options?: { readonly keys?: KeyPair; readonly ttlS?: number; readonly alter?: Alter },
  ): Promise<Buffer[]>;
  /** An identity as a running part has it. */
  issue(spiffeId: string, options?: { readonly ttlS?: number }): Promise<TestIdentity>;
}

/** An `OwnIdentity` whose renewal a test calls for. */
export interface TestIdentity extends OwnIdentity {
  renew(options?: { readonly ttlS?: number }): Promise<void>;
}

const DAY_S = 86_400;

/** P-256, as SVIDs and WITs have. */
export function newKeyPair(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

/** Makes an authority of its own for the trust domain. `alter` changes the intermediate. */
export async function createTestIssuer(
  trustDomainName: string,
  options: { readonly clock?: Clock; readonly alterIntermediate?: Alter } = {},
): Promise<TestIssuer> {
  const trustDomain = parseTrustDomain(trustDomainName);
  const clock = options.clock ?? systemClock;
  const rootKeys = newKeyPair();
  const intermediateKeys = newKeyPair();
  const witKeys = newKeyPair();
  const witKid = randomBytes(8).toString('hex');
  const rootDer = await buildRoot(trustDomain, rootKeys, clock());
  const intermediateDer = await buildIntermediate(
    { trustDomain, keys: intermediateKeys, rootDer, rootKeys, nowS: clock() },
    options.alterIntermediate,
  );
  const identities = new Set<() => void>();
  let bundle = parseMeshBundle(firstDocument(trustDomain, rootDer, witKid, witKeys.publicKey));

  const leaf: TestIssuer['leaf'] = async (spiffeId, { keys = newKeyPair(), ttlS = 3600, alter } = {}) => {
    const nowS = Math.floor(clock());
    const content: CertificateContent = {
      subject: distinguishedName({}),
      issuer: subjectOf(intermediateDer),
      publicKey: keys.publicKey,
      notBeforeS: nowS - CERTIFICATE_BACKDATE_S,
      notAfterS: nowS + ttlS,
      extensions: [
        extension.basicConstraints({ ca: false }),
        extension.keyUsage(['digitalSignature']),
        extension.extendedKeyUsage([EXTENDED_KEY_USAGES.serverAuth, EXTENDED_KEY_USAGES.clientAuth]),
        extension.subjectAltName([spiffeId], true),
        extension.authorityKeyIdentifier(intermediateKeys.publicKey),
      ],
    };
    const signer = localSigner(intermediateKeys.privateKey, intermediateKeys.publicKey);
    return [await buildCertificate(alter === undefined ? content : alter(content), signer), intermediateDer];
  };

  const issueOnce = async (spiffeId: SpiffeId, ttlS: number): Promise<IssuedIdentity> => {
    const keys = newKeyPair();
    const linkKeys = newKeyPair();
    const chain = await leaf(spiffeId, { keys, ttlS });
    const nowS = Math.floor(clock());
    const s256 = certificateS256(chain[0] as Buffer);
    const witJti = randomBytes(16).toString('base64url');
    const wit = mintWit(
      { sub: spiffeId, iat: nowS, exp: nowS + ttlS, jti: witJti, linkKey: linkKeys.publicKey, certificateS256: s256 },
      { key: witKeys.privateKey, kid: witKid },
    );
    return assembleIdentity({ chain, wit, privateKey: keys.privateKey, witKey: linkKeys.privateKey }, bundle, nowS);
  };

  return {
    trustDomain,
    rootDer,
    intermediateDer,
    intermediateKeys,
    leaf,
    bundle: () => bundle,
    publish: (keys) => {
      const { document } = bundle;
      bundle = parseMeshBundle({
        ...document,
        spiffe_sequence: document.spiffe_sequence + 1,
        behalf: { ...document.behalf, ...keys },
      });
      for (const tell of identities) tell();
      return bundle;
    },
    issue: async (name, { ttlS = 3600 } = {}) => {
      const spiffeId = parseSpiffeId(name);
      let current = await issueOnce(spiffeId, ttlS);
      const listeners = new Set<(what: 'identity' | 'bundle') => void>();
      const tellBundle = (): void => {
        for (const listener of listeners) listener('bundle');
      };
      identities.add(tellBundle);
      return {
        spiffeId,
        trustDomain,
        current: () => current,
        bundle: () => bundle,
        onChange: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
        close: async () => {
          identities.delete(tellBundle);
          listeners.clear();
        },
        renew: async (options = {}) => {
          current = await issueOnce(spiffeId, options.ttlS ?? ttlS);
          for (const listener of listeners) listener('identity');
        },
      };
    },
  };
}

function buildRoot(trustDomain: TrustDomain, keys: KeyPair, nowS: number): Promise<Buffer> {
  const name = distinguishedName({ organization: trustDomain, commonName: 'test root' });
  return buildCertificate(
    {
      subject: name,
      issuer: name,
      publicKey: keys.publicKey,
      notBeforeS: nowS - 2 * DAY_S,
      notAfterS: nowS + 10 * DAY_S,
      extensions: [
        extension.basicConstraints({ ca: true }),
        extension.keyUsage(['keyCertSign', 'crlSign']),
        extension.subjectKeyIdentifier(keys.publicKey),
      ],
    },
    localSigner(keys.privateKey, keys.publicKey),
  );
}

function buildIntermediate(
  from: { trustDomain: TrustDomain; keys: KeyPair; rootDer: Buffer; rootKeys: KeyPair; nowS: number },
  alter: Alter = (content) => content,
): Promise<Buffer> {
  const content: CertificateContent = {
    subject: distinguishedName({ organization: from.trustDomain, commonName: 'test issuing' }),
    issuer: subjectOf(from.rootDer),
    publicKey: from.keys.publicKey,
    notBeforeS: from.nowS - 2 * DAY_S,
    notAfterS: from.nowS + 5 * DAY_S,
    extensions: [
      extension.basicConstraints({ ca: true, pathLength: 0 }),
      extension.keyUsage(['keyCertSign', 'crlSign']),
      extension.permittedUriHost(from.trustDomain),
      extension.subjectKeyIdentifier(from.keys.publicKey),
      extension.authorityKeyIdentifier(from.rootKeys.publicKey),
    ],
  };
  return buildCertificate(alter(content), localSigner(from.rootKeys.privateKey, from.rootKeys.publicKey));
}

function firstDocument(
  trustDomain: TrustDomain,
  rootDer: Buffer,
  witKid: string,
  witKey: KeyObject,
): MeshBundleDocument {
  return {
    keys: [
      { use: 'x509-svid', kty: 'EC', x5c: [rootDer.toString('base64')] },
      { ...witKey.export({ format: 'jwk' }), use: 'wit-svid', kid: witKid },
    ],
    spiffe_sequence: 1,
    spiffe_refresh_hint: 60,
    trust_domain: trustDomain,
    behalf: {
      bundle_keys: [],
      issuer: '',
      jwks_uri: '',
      root_keys: [],
      policy_keys: [],
      live_state_keys: { authority: [], ca: [] },
      log_keys: [],
    },
  };
}
