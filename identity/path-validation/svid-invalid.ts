/** The one way in which a certificate is refused: the rule that it breaks, and which certificate of the path it is. */
import { BehalfError } from '../../errors/index.ts';

/** What a path can break; tests and runbooks name these. */
export type PathRule =
  | 'chain_length'
  | 'encoding'
  | 'extension_twice'
  | 'version'
  | 'unknown_root'
  | 'signature'
  | 'signature_algorithm'
  | 'key'
  | 'not_yet_valid'
  | 'expired'
  | 'unknown_critical_extension'
  | 'basic_constraints'
  | 'path_length'
  | 'key_usage'
  | 'extended_key_usage'
  | 'name_constraints'
  | 'uri_san'
  | 'spiffe_id'
  | 'trust_domain';

/** Makes the refusal. `why` holds no secret; certificates are public. */
export function svidInvalid(rule: PathRule, certificate: string, why: string, cause?: unknown): BehalfError {
  return new BehalfError('svid_invalid', { rule, certificate, why: why.slice(0, 200) }, { cause });
}
