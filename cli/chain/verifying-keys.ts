/** The public keys that an offline verifier brings along: a trust bundle, and the authority's keys where that has none. */
import { createPublicKey, type KeyObject, type webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { defaultAudience } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { type MeshBundle, parseMeshBundle, type TrustDomain } from '../../identity/index.ts';

export interface VerifyingKeys {
  /** Null where the bundle does not say whose it is. */
  readonly trustDomain: TrustDomain | null;
  /** What `iss` must be; null: not judged. */
  readonly issuer: string | null;
  /** What the root's `aud` must be; null: not judged. */
  readonly audience: string | null;
  readonly rootKeys: ReadonlyMap<string, KeyObject>;
  readonly witKeys: ReadonlyMap<string, KeyObject>;
}

/** The keys of a mesh bundle. */
export function keysOfBundle({ trustDomain, issuer, rootKeys, witKeys }: MeshBundle): VerifyingKeys {
  return {
    trustDomain,
    issuer: issuer === '' ? null : issuer,
    audience: defaultAudience(trustDomain),
    rootKeys,
    witKeys,
  };
}

/**
 * Reads a mesh bundle or a plain SPIFFE bundle, and a JWKS of the authority where one is given.
 * @throws {BehalfError} `not_found`, `bundle_invalid`; `usage` where there are no keys for roots
 */
export function readVerifyingKeys(bundleFile: string, jwksFile: string | null): VerifyingKeys {
  const document = readJson(bundleFile);
  const own = hasMember(document, 'behalf')
    ? keysOfBundle(parseMeshBundle(document))
    : plainBundle(document, bundleFile);
  if (jwksFile === null) {
    if (own.rootKeys.size === 0)
      throw new BehalfError('usage', {
        command: 'chain verify',
        why: 'the bundle has no keys of an authority: give --keys',
      });
    return own;
  }
  return { ...own, rootKeys: keysOf(readJson(jwksFile), jwksFile, (use) => use === undefined || use === 'sig') };
}

/** SPIFFE Trust Domain and Bundle, section 4: of it the `wit-svid` keys count here. */
function plainBundle(document: unknown, file: string): VerifyingKeys {
  const witKeys = keysOf(document, file, (use) => use === 'wit-svid');
  return { trustDomain: null, issuer: null, audience: null, rootKeys: new Map(), witKeys };
}

/** The P-256 keys of a set by `kid`; keys of another kind, use or algorithm are passed over (RFC 7517 section 5). */
function keysOf(document: unknown, file: string, isUse: (use: unknown) => boolean): ReadonlyMap<string, KeyObject> {
  if (!hasMember(document, 'keys') || !Array.isArray(document.keys))
    throw new BehalfError('bundle_invalid', { at: 'keys', file, why: 'is no list of keys' });
  const keys = new Map<string, KeyObject>();
  for (const jwk of document.keys as readonly (webcrypto.JsonWebKey & { kid?: unknown })[]) {
    if (typeof jwk.kid !== 'string' || !isUse(jwk.use) || (jwk.alg !== undefined && jwk.alg !== 'ES256')) continue;
    const key = publicKey(jwk);
    if (key !== null) keys.set(jwk.kid, key);
  }
  return keys;
}

function publicKey({ kty, crv, x, y }: webcrypto.JsonWebKey): KeyObject | null {
  if (kty !== 'EC' || crv !== 'P-256' || typeof x !== 'string' || typeof y !== 'string') return null;
  try {
    return createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' });
  } catch {
    return null;
  }
}

function readJson(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new BehalfError(
      'not_found',
      { file, why: (cause as NodeJS.ErrnoException).code ?? 'cannot be read' },
      { cause },
    );
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BehalfError('bundle_invalid', { at: 'bundle', file, why: 'not JSON' }, { cause });
  }
}

function hasMember<K extends string>(value: unknown, name: K): value is Record<K, unknown> {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name);
}
