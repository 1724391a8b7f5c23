/**
 * Reads the mesh bundle document (SPIFFE Trust Domain and Bundle, section 4, and our `behalf` member) into keys that are
 * ready to use. Strict: an entry of ours that cannot be read makes the whole document invalid, since a key that is silently
 * missing looks like tampering later. Entries with a `use` that we do not know are ignored, as the standard says.
 */
import { createPublicKey, type KeyObject, type webcrypto } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { type SignedStatement, type StatementKey, verifyStatement } from '../signed-statement.ts';
import { parseTrustDomain, type TrustDomain } from '../spiffe-id.ts';
import type { MeshBundleDocument } from './mesh-bundle.ts';

/** The keys of one trust domain, parsed once. Replaced as a whole when the document changes. */
export interface MeshBundle {
  readonly document: MeshBundleDocument;
  readonly trustDomain: TrustDomain;
  readonly sequence: number;
  /** DER of self-signed roots. */
  readonly x509Roots: readonly Buffer[];
  /** P-256 keys that sign WITs, by `kid`. */
  readonly witKeys: ReadonlyMap<string, KeyObject>;
  /** The authority's issuer URL and JWKS URL; empty until the authority has published them. */
  readonly issuer: string;
  readonly jwksUri: string;
  /** P-256 keys that sign roots of delegations, by `kid`. */
  readonly rootKeys: ReadonlyMap<string, KeyObject>;
  readonly policyKeys: readonly StatementKey[];
  readonly liveStateKeys: { readonly authority: readonly StatementKey[]; readonly ca: readonly StatementKey[] };
  readonly bundleKeys: readonly StatementKey[];
  /** C2SP verifier keys of the log. */
  readonly logKeys: readonly string[];
}

/** No list of keys is longer than this: a bundle is read by every process of the mesh. */
const MAX_KEYS = 64;
export const MAX_BUNDLE_BYTES = 262_144;
const MAX_NAME_LENGTH = 256;
const MAX_URL_LENGTH = 2048;

/**
 * Takes a parsed JSON value that should be a mesh bundle document.
 * @throws {BehalfError} `bundle_invalid`, with the member at fault in `at`
 */
export function parseMeshBundle(json: unknown): MeshBundle {
  const document = object(json, 'bundle');
  const keys = list(document['keys'], 'keys').map((entry, index) => object(entry, `keys[${index}]`));
  const behalf = object(document['behalf'], 'behalf');
  const liveState = object(behalf['live_state_keys'], 'behalf.live_state_keys');
  return {
    document: json as MeshBundleDocument,
    trustDomain: trustDomain(document['trust_domain']),
    sequence: wholeNumber(document['spiffe_sequence'], 'spiffe_sequence'),
    x509Roots: keys.flatMap((entry, index) => (entry['use'] === 'x509-svid' ? [root(entry, `keys[${index}]`)] : [])),
    witKeys: keyMap(
      keys.filter((entry) => entry['use'] === 'wit-svid'),
      'keys[use=wit-svid]',
    ),
    issuer: text(behalf['issuer'], 'behalf.issuer', MAX_URL_LENGTH),
    jwksUri: text(behalf['jwks_uri'], 'behalf.jwks_uri', MAX_URL_LENGTH),
    rootKeys: keyMap(list(behalf['root_keys'], 'behalf.root_keys'), 'behalf.root_keys'),
    policyKeys: statementKeys(behalf['policy_keys'], 'behalf.policy_keys'),
    liveStateKeys: {
      authority: statementKeys(liveState['authority'], 'behalf.live_state_keys.authority'),
      ca: statementKeys(liveState['ca'], 'behalf.live_state_keys.ca'),
    },
    bundleKeys: statementKeys(behalf['bundle_keys'], 'behalf.bundle_keys'),
    logKeys: list(behalf['log_keys'], 'behalf.log_keys').map((key) => text(key, 'behalf.log_keys', MAX_URL_LENGTH)),
  };
}

/**
 * Takes a signed bundle document from a relay: signed by a bundle key of the bundle that is trusted so far, for the same
 * trust domain, and not older.
 * @throws {BehalfError} `statement_untrusted`, `bundle_invalid`
 */
export function verifyMeshBundle(statement: SignedStatement, trusted: MeshBundle): MeshBundle {
  const payload = verifyStatement('mesh-bundle', statement, trusted.bundleKeys);
  if (payload.length > MAX_BUNDLE_BYTES) throw invalid('bundle', 'too large');
  const bundle = parseMeshBundle(parseJson(payload));
  if (bundle.trustDomain !== trusted.trustDomain) throw invalid('trust_domain', 'is another one than before');
  // A relay must not bring back keys that were taken out.
  if (bundle.sequence < trusted.sequence) throw invalid('spiffe_sequence', 'is lower than before');
  return bundle;
}

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch (cause) {
    throw new BehalfError('bundle_invalid', { at: 'bundle', why: 'not JSON' }, { cause });
  }
}

function root(entry: Record<string, unknown>, at: string): Buffer {
  const x5c = list(entry['x5c'], `${at}.x5c`);
  // SPIFFE X.509-SVID section 6.1: exactly one certificate in x5c.
  if (x5c.length !== 1) throw invalid(`${at}.x5c`, 'must hold exactly one certificate');
  const base64 = text(x5c[0], `${at}.x5c`, 16_384);
  const der = Buffer.from(base64, 'base64');
  if (der.length === 0 || der.toString('base64') !== base64) throw invalid(`${at}.x5c`, 'not canonical base64');
  return der;
}

function keyMap(entries: readonly unknown[], at: string): ReadonlyMap<string, KeyObject> {
  const keys = new Map<string, KeyObject>();
  for (const value of entries) {
    const { kid, key } = namedKey(value, at);
    if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
      throw invalid(at, 'not a P-256 key');
    }
    if (keys.has(kid)) throw invalid(at, 'the same kid twice');
    keys.set(kid, key);
  }
  return keys;
}

function statementKeys(value: unknown, at: string): readonly StatementKey[] {
  const keys = list(value, at).map((entry) => namedKey(entry, at));
  if (keys.some(({ key }) => key.asymmetricKeyType !== 'ed25519')) throw invalid(at, 'not an Ed25519 key');
  if (new Set(keys.map(({ kid }) => kid)).size !== keys.length) throw invalid(at, 'the same kid twice');
  return keys;
}

function namedKey(value: unknown, at: string): StatementKey {
  const jwk = object(value, at);
  const kid = text(jwk['kid'], `${at}.kid`, MAX_NAME_LENGTH);
  if (kid === '') throw invalid(`${at}.kid`, 'empty');
  // A private key here is an accident that must be seen, not served on.
  if ('d' in jwk) throw invalid(at, 'holds a private key');
  try {
    return { kid, key: createPublicKey({ key: jwk as webcrypto.JsonWebKey, format: 'jwk' }) };
  } catch (cause) {
    throw new BehalfError('bundle_invalid', { at, why: 'not a public key' }, { cause });
  }
}

function trustDomain(value: unknown): TrustDomain {
  try {
    return parseTrustDomain(value);
  } catch (cause) {
    throw new BehalfError('bundle_invalid', { at: 'trust_domain', why: 'not a trust domain name' }, { cause });
  }
}

function object(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(at, 'not an object');
  return value as Record<string, unknown>;
}

function list(value: unknown, at: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(at, 'not a list');
  if (value.length > MAX_KEYS) throw invalid(at, `more than ${MAX_KEYS} elements`);
  return value;
}

function text(value: unknown, at: string, maxLength: number): string {
  if (typeof value !== 'string' || value.length > maxLength) throw invalid(at, 'not a text of that size');
  return value;
}

function wholeNumber(value: unknown, at: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw invalid(at, 'not a whole number');
  return value as number;
}

function invalid(at: string, why: string): BehalfError {
  return new BehalfError('bundle_invalid', { at, why });
}
