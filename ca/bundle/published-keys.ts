/**
 * Keys that parts publish into the bundle, and who may set which: the authority its issuer and keys, the collector the log's
 * keys, operators the policy keys. Each sets its own alone; what others have published stays (DESIGN section 3).
 */
import { BehalfError } from '../../errors/index.ts';
import {
  type NamedJwk,
  type PartKeys,
  partId,
  pathOf,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
} from '../../identity/index.ts';
import type { KeyChanged } from '../../proto/behalf/audit/v1/audit.ts';

/** Who publishes. */
export type KeyOwner = 'authority' | 'collector' | 'operator';

/** The members that were sent, each of its owner; still unjudged: the document is parsed as a whole before it is published. */
export interface PublishedKeys {
  readonly issuer?: string;
  readonly jwks_uri?: string;
  readonly root_keys?: readonly NamedJwk[];
  readonly policy_keys?: readonly NamedJwk[];
  readonly log_keys?: readonly string[];
  readonly live_state_keys?: { readonly authority: readonly NamedJwk[] };
}

const MEMBERS: Readonly<Record<KeyOwner, readonly (keyof PublishedKeys)[]>> = {
  authority: ['issuer', 'jwks_uri', 'root_keys', 'live_state_keys'],
  collector: ['log_keys'],
  operator: ['policy_keys'],
};
const MAX_JSON_LENGTH = 65_536;

/**
 * Which keys the caller owns.
 * @throws {BehalfError} `policy_denied` for everyone else
 */
export function ownerOfKeys(caller: SpiffeId, trustDomain: TrustDomain): KeyOwner {
  if (caller === partId(trustDomain, 'authority')) return 'authority';
  if (caller === partId(trustDomain, 'collector')) return 'collector';
  if (isOperator(caller, trustDomain)) return 'operator';
  throw new BehalfError('policy_denied', { why: 'this identity owns no keys of the bundle', caller });
}

/** Whether an identity is one of the people who run the mesh. */
export function isOperator(caller: SpiffeId, trustDomain: TrustDomain): boolean {
  return trustDomainOf(caller) === trustDomain && pathOf(caller).startsWith('/behalf/operator/');
}

/**
 * Takes what was sent.
 * @throws {BehalfError} `request_malformed`; `policy_denied` for a member that is another owner's
 */
export function parsePublishedKeys(json: string, owner: KeyOwner): PublishedKeys {
  const value = json.length > MAX_JSON_LENGTH ? null : parseJson(json);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BehalfError('request_malformed', { member: 'keys_json', why: 'not a JSON object of that size' });
  }
  const foreign = Object.keys(value).find((member) => !(MEMBERS[owner] as readonly string[]).includes(member));
  if (foreign !== undefined) {
    throw new BehalfError('policy_denied', { why: `\`${foreign.slice(0, 64)}\` is not the ${owner}’s to publish` });
  }
  const keys = value as PublishedKeys & { live_state_keys?: Record<string, unknown> };
  // The other source's keys stand in the same member of the document.
  const { live_state_keys: liveState } = keys;
  if (liveState === null)
    throw new BehalfError('request_malformed', { member: 'live_state_keys', why: 'not an object' });
  if (liveState !== undefined && Object.keys(liveState).some((source) => source !== owner)) {
    throw new BehalfError('policy_denied', { why: 'live-state keys of another source' });
  }
  return keys;
}

/** The `behalf` part with these keys set. */
export function mergeKeys(behalf: PartKeys, keys: PublishedKeys): PartKeys {
  const { live_state_keys: liveState, ...others } = keys;
  const merged = { ...behalf, ...others };
  return liveState === undefined
    ? merged
    : { ...merged, live_state_keys: { ...behalf.live_state_keys, authority: liveState.authority } };
}

/** What goes on record: each key that appeared or went. */
export function changesOf(before: PartKeys, after: PartKeys): KeyChanged[] {
  const lists: readonly [string, (behalf: PartKeys) => readonly (NamedJwk | string)[]][] = [
    ['root', (behalf) => behalf.root_keys],
    ['policy', (behalf) => behalf.policy_keys],
    ['live-state', (behalf) => behalf.live_state_keys.authority],
    ['log', (behalf) => behalf.log_keys],
  ];
  return lists.flatMap(([use, list]) => {
    const old = kidsOf(list(before));
    const now = kidsOf(list(after));
    return [
      ...now.filter((kid) => !old.includes(kid)).map((kid) => ({ use, kid, change: 'published' })),
      ...old.filter((kid) => !now.includes(kid)).map((kid) => ({ use, kid, change: 'withdrawn' })),
    ];
  });
}

function kidsOf(keys: readonly (NamedJwk | string)[]): string[] {
  // UNTRUSTED: not parsed yet; a list that is none is refused when the document is parsed.
  if (!Array.isArray(keys)) return [];
  return keys
    .map((key: unknown) => (typeof key === 'string' ? key : String((key as { kid?: unknown } | null)?.kid)))
    .map((kid) => kid.slice(0, 128));
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}
