/** `WWW-Authenticate` towards clients outside (RFC 6750 section 3, RFC 9728 section 5.1). */
import type { ErrorCode } from '../../errors/index.ts';
import type { EntryConfig } from '../config.ts';
import type { HeaderList } from './head.ts';

/** The fields that go beside a refusal of a code. */
export function challengeFor(entry: EntryConfig | undefined): (code: ErrorCode) => HeaderList {
  const parameters = [`realm="${entry?.realm ?? 'behalf'}"`];
  if (entry?.resourceMetadata !== undefined) parameters.push(`resource_metadata="${entry.resourceMetadata}"`);
  const plain = ['www-authenticate', `Bearer ${parameters.join(', ')}`];
  const invalid = ['www-authenticate', `Bearer ${[...parameters, 'error="invalid_token"'].join(', ')}`];
  return (code) => {
    switch (code) {
      case 'delegation_missing':
        return plain;
      case 'entry_token_invalid':
      case 'entry_token_expired':
      case 'entry_proof_invalid':
        return invalid;
      default:
        return [];
    }
  };
}
