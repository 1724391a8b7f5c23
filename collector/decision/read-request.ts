/** Reads what a central decision is asked about. UNTRUSTED: any caller of the mesh fills it in. */
import { BehalfError } from '../../errors/index.ts';
import { parseSpiffeId, type SpiffeId } from '../../identity/index.ts';
import { type AppResource, type DelegationFacts, isScopeToken } from '../../policy/index.ts';
import type { DecideRequest } from '../../proto/behalf/decision/v1/decision.ts';

const MAX_LIST = 64;
const MAX_TEXT = 256;
const MAX_RESOURCE_LENGTH = 65_536;

/** @throws {BehalfError} `request_malformed` */
export function readFacts(request: DecideRequest, caller: SpiffeId): DelegationFacts {
  const { scopes, actors, subject } = request;
  if (scopes.length > MAX_LIST || !scopes.every(isScopeToken)) throw malformed('scopes');
  if (actors.length > MAX_LIST) throw malformed('actors');
  for (const member of ['subject', 'clientId', 'purpose', 'consentId'] as const) {
    if (request[member].length > MAX_TEXT) throw malformed(member);
  }
  return {
    subject,
    client: request.clientId,
    consent: request.consentId,
    purpose: request.purpose,
    scopes,
    actors: actors.length === 0 ? [caller] : actors.map((actor) => readId(actor, 'actors')),
    depth: request.depth,
    own: subject.startsWith('spiffe://'),
    details: null,
  };
}

/** @throws {BehalfError} `request_malformed` */
export function readResource(json: string): AppResource {
  if (json.length > MAX_RESOURCE_LENGTH) throw malformed('resource_json');
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new BehalfError('request_malformed', { member: 'resource_json', why: 'not JSON' }, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('resource_json');
  const { type, id, ...attributes } = value as Record<string, unknown>;
  if (typeof type !== 'string' || typeof id !== 'string') throw malformed('resource_json');
  return { type, id, attributes };
}

/** @throws {BehalfError} `request_malformed` */
export function readId(value: string, member: string): SpiffeId {
  try {
    return parseSpiffeId(value);
  } catch (cause) {
    throw new BehalfError('request_malformed', { member, why: 'not a SPIFFE ID' }, { cause });
  }
}

export function malformed(member: string): BehalfError {
  return new BehalfError('request_malformed', { member });
}
