/**
 * What a refusal tells a client outside about how to come in: `WWW-Authenticate` (RFC 6750 section 3, RFC 9449 section 7.1, RFC
 * 9728 section 5.1) and `DPoP-Nonce` (RFC 9449 section 8.2).
 */
import type { ErrorCode } from '../../../errors/index.ts';
import { PROOF_ALGORITHMS } from '../../../identity/dpop/index.ts';
import type { HeaderList } from '../head.ts';

/** The fields beside a refusal. */
export type Challenge = (code: ErrorCode, shown: Presented) => HeaderList;

/** What the request that is refused came with. */
export interface Presented {
  /** Null where no access token was shown. */
  readonly scheme: 'Bearer' | 'DPoP' | null;
  /** `https://host` as the client saw it; null where that is not known. */
  readonly origin: string | null;
  /** To hand out; null where proofs need none. */
  readonly nonce: string | null;
}

export interface ChallengeOptions {
  readonly realm: string;
  /** URL of the resource metadata, or how it follows from the origin; null for none. */
  metadataUrl(origin: string | null): string | null;
}

export function createChallenge({ realm, metadataUrl }: ChallengeOptions): Challenge {
  const algorithms = `algs="${PROOF_ALGORITHMS.join(' ')}"`;
  return (code, { scheme, origin, nonce }) => {
    const error = oauthErrorOf(code, scheme);
    if (error === null) return [];
    const url = metadataUrl(origin);
    const common = [`realm="${realm}"`, ...(url === null ? [] : [`resource_metadata="${url}"`])];
    const of = (name: 'Bearer' | 'DPoP'): string => {
      const said = error !== '' && name === (scheme ?? 'DPoP') ? [`error="${error}"`] : [];
      return `${name} ${[...common, ...(name === 'DPoP' ? [algorithms] : []), ...said].join(', ')}`;
    };
    const fields = ['www-authenticate', of('Bearer'), 'www-authenticate', of('DPoP')];
    if (nonce !== null) fields.push('dpop-nonce', nonce);
    return fields;
  };
}

/** OAuth's word for a code; empty for a challenge without one, as where nothing was shown; null where none is due. */
function oauthErrorOf(code: ErrorCode, scheme: Presented['scheme']): string | null {
  switch (code) {
    case 'delegation_missing':
      return '';
    case 'entry_token_invalid':
    case 'entry_token_expired':
      return 'invalid_token';
    case 'entry_proof_invalid':
      // A bound token that comes as `Bearer` has no proof that could be wrong (RFC 9449 section 7.1).
      return scheme === 'Bearer' ? 'invalid_token' : 'invalid_dpop_proof';
    case 'entry_nonce_needed':
      return 'use_dpop_nonce';
    case 'insufficient_scope':
      return 'insufficient_scope';
    default:
      return null;
  }
}
