/** Our codes in OAuth's words (RFC 6749 section 5.2, RFC 8693 section 2.2.2). */
import { ERROR_TABLE, type ErrorCode } from '../../errors/index.ts';

/** The `error` of a refusal with this code. */
export function oauthErrorOf(code: ErrorCode): string {
  switch (code) {
    case 'entry_token_invalid':
    case 'entry_token_expired':
    case 'consent_withdrawn':
    case 'deferred_unknown':
    case 'deferred_exhausted':
    case 'deferred_expired':
    case 'delegation_revoked':
      return 'invalid_grant';
    case 'entry_proof_invalid':
      return 'invalid_dpop_proof';
    case 'policy_denied':
    case 'peer_unauthenticated':
      return 'unauthorized_client';
    case 'details_unsupported':
    case 'details_exhausted':
    case 'delegation_scope_widened':
      // RFC 9396 section 14.6
      return 'invalid_authorization_details';
    case 'request_malformed':
      return 'invalid_request';
    case 'insufficient_scope':
      return 'invalid_scope';
    default:
      if (ERROR_TABLE[code].group === 'delegation') return 'invalid_grant';
      return ERROR_TABLE[code].http === 503 || ERROR_TABLE[code].http === 429
        ? 'temporarily_unavailable'
        : 'server_error';
  }
}
