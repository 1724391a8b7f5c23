/** `GET /delegation` (DESIGN section 4): what an app may know of the delegation that a request runs on. No token, no key. */
import type { InboundContext } from '../call/context/inbound-context.ts';

/** The answer's JSON. What the delegation does not have is null; texts of ids are base64url, `exp` is in seconds. */
export interface DelegationView {
  readonly subject: string;
  readonly client: string | null;
  readonly scopes: readonly string[];
  readonly authorization_details: readonly unknown[] | null;
  readonly purpose: string | null;
  readonly consent: { readonly id: string; readonly version: number } | null;
  readonly actors: readonly string[];
  readonly depth: number;
  readonly txn: string;
  readonly hop: string;
  readonly request: string;
  readonly exp: number;
}

export function delegationView({ delegation, hopId, requestId }: InboundContext): DelegationView {
  return {
    subject: delegation.sub,
    client: delegation.clientId,
    scopes: delegation.scope,
    authorization_details: delegation.authorizationDetails,
    purpose: delegation.purpose,
    consent: delegation.consent === null ? null : { id: delegation.consent.id, version: delegation.consent.version },
    actors: delegation.actors,
    depth: delegation.depth,
    txn: delegation.txn,
    hop: hopId.toString('base64url'),
    request: requestId.toString('base64url'),
    exp: delegation.expS,
  };
}
