/**
 * The entry's metadata as a protected resource (RFC 9728): which authorization server's tokens it takes, for which scopes, and how
 * they may be bound. Public facts, made anew from the bundle and the snapshot for each answer.
 */
import { PROOF_ALGORITHMS } from '../../../identity/dpop/index.ts';
import { entryCeilingOf, serviceOf } from '../../../policy/index.ts';
import type { CallEnvironment, MetadataOptions } from '../environment.ts';
import { pathOfTarget, type RequestHead } from '../head.ts';
import type { EntryFrom, Verdict } from '../seam.ts';

/** RFC 9728 section 3.1, for a resource identifier without a path. */
export const METADATA_PATH = '/.well-known/oauth-protected-resource';
const MAX_AGE_S = 60;

/** Whether the request asks for the metadata. */
export function asksForMetadata({ method, target }: RequestHead): boolean {
  return (method === 'GET' || method === 'HEAD') && pathOfTarget(target) === METADATA_PATH;
}

/** The answer; null where the request does not say of which resource. */
export function metadataAnswer(
  env: CallEnvironment,
  { origin }: EntryFrom,
  { certificates }: MetadataOptions,
): Verdict | null {
  if (origin === null) return null;
  const compiled = env.state.snapshot();
  const scopes = compiled === null ? null : entryCeilingOf(compiled, env.me);
  const service = compiled === null ? null : serviceOf(compiled, env.entry.forward?.id ?? env.me);
  const metadata = {
    resource: origin,
    authorization_servers: [env.identity.bundle().issuer],
    bearer_methods_supported: ['header'],
    ...(scopes === null ? {} : { scopes_supported: scopes }),
    ...(service === null ? {} : { resource_name: service.name }),
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
    dpop_bound_access_tokens_required: false,
    tls_client_certificate_bound_access_tokens: certificates,
  };
  const headers = [
    'content-type',
    'application/json',
    'cache-control',
    `private, max-age=${MAX_AGE_S}`,
    'vary',
    'host',
  ];
  return { kind: 'answer', head: { status: 200, headers }, body: Buffer.from(`${JSON.stringify(metadata)}\n`, 'utf8') };
}
