/**
 * SPIFFE IDs and trust domains, after SPIFFE-ID.md sections 2.1 to 2.3: lower-case trust domain of `[a-z0-9.-_]`, path
 * segments of `[a-zA-Z0-9.-_]`, no empty, `.` or `..` segment, no trailing slash, no percent-encoding, query or fragment.
 * Stricter than the standard: an ID is at most 255 bytes (WIRE.md), so that it fits every header and index.
 */
import { BehalfError } from '../errors/index.ts';

/** A canonical SPIFFE ID with a path; made by `parseSpiffeId` only. */
export type SpiffeId = string & { readonly __brand: 'SpiffeId' };
/** A trust domain's name, without scheme; made by `parseTrustDomain` only. */
export type TrustDomain = string & { readonly __brand: 'TrustDomain' };

export const MAX_SPIFFE_ID_BYTES = 255;
const SCHEME = 'spiffe://';
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SEGMENT = /^[a-zA-Z0-9._-]+$/;

/**
 * Takes a trust domain's name such as `shop.example`.
 * @throws {BehalfError} `spiffe_id_invalid`
 */
export function parseTrustDomain(value: unknown): TrustDomain {
  if (typeof value !== 'string' || !TRUST_DOMAIN.test(value)) {
    throw new BehalfError('spiffe_id_invalid', { value: quote(value), why: 'not a trust domain name' });
  }
  return value as TrustDomain;
}

/**
 * Takes a workload's SPIFFE ID such as `spiffe://shop.example/ns/demo/sa/orders`, exactly as canonical text.
 * @throws {BehalfError} `spiffe_id_invalid`
 */
export function parseSpiffeId(value: unknown): SpiffeId {
  const why = defectOf(value);
  if (why !== null) throw new BehalfError('spiffe_id_invalid', { value: quote(value), why });
  return value as SpiffeId;
}

/** The trust domain that an ID belongs to. */
export function trustDomainOf(id: SpiffeId): TrustDomain {
  return id.slice(SCHEME.length, id.indexOf('/', SCHEME.length)) as TrustDomain;
}

/** The path of an ID, with its leading slash. */
export function pathOf(id: SpiffeId): string {
  return id.slice(id.indexOf('/', SCHEME.length));
}

/** Paths under `/behalf/` name the mesh's own parts and people; registration entries may not use them (DESIGN section 3). */
export function isReservedPath(id: SpiffeId): boolean {
  return pathOf(id).startsWith('/behalf/');
}

/** The ID of one of the mesh's own parts. */
export function partId(trustDomain: TrustDomain, part: 'ca' | 'authority' | 'collector'): SpiffeId {
  return parseSpiffeId(`${SCHEME}${trustDomain}/behalf/${part}`);
}

function defectOf(value: unknown): string | null {
  if (typeof value !== 'string') return 'not a string';
  if (value.length > MAX_SPIFFE_ID_BYTES) return `longer than ${MAX_SPIFFE_ID_BYTES} bytes`;
  if (!value.startsWith(SCHEME)) return 'does not begin with spiffe://';
  const [domain, ...segments] = value.slice(SCHEME.length).split('/');
  if (domain === undefined || !TRUST_DOMAIN.test(domain))
    return 'trust domain name has other characters than a-z 0-9 . - _';
  if (segments.length === 0) return 'has no path';
  for (const segment of segments) {
    if (segment === '') return 'has an empty path segment';
    if (segment === '.' || segment === '..') return 'has a relative path segment';
    if (!SEGMENT.test(segment)) return 'path has other characters than a-z A-Z 0-9 . - _';
  }
  return null;
}

function quote(value: unknown): string {
  return typeof value === 'string' ? `\`${value.slice(0, 80)}\`` : typeof value;
}
