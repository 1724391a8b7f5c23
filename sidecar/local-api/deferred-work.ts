/**
 * Work that outlives its request, for the app (WIRE section 6): putting it off, and seeing and ending its own. What may be put off the
 * authority decides; here the delegation of the request that the app names is handed to it, and what the app spends of it counted.
 */
import { type AuthorizationDetail, parseDetailsText } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { ServiceClient } from '../../identity/mtls/index.ts';
import { isJsonArray, isJsonObject, JsonDefect, type JsonValue, readStrictJson } from '../../identity/strict-json.ts';
import type { DeferRequest, Deferrals } from '../../proto/behalf/authority/v1/authority.ts';
import type { StateView } from '../../state/index.ts';
import type { InboundContext } from '../call/context/inbound-context.ts';
import type { DetailShares } from '../call/outbound/detail-shares.ts';

const JSON_LIMITS = { maxDepth: 8, maxMembers: 128 };
const MEMBERS: ReadonlySet<string> = new Set(['purpose', 'maxS', 'uses', 'scope', 'authorizationDetails']);

export interface DeferredWorkDeps {
  /** Null where no authority is configured. */
  readonly client: ServiceClient<Deferrals> | null;
  readonly state: Pick<StateView, 'snapshot'>;
  readonly shares: DetailShares;
}

/** UNTRUSTED: the app's wish. */
interface Wish extends Pick<DeferRequest, 'purpose' | 'maxS' | 'uses' | 'scope' | 'narrows'> {
  readonly details: readonly AuthorizationDetail[] | null;
}

/** The answer's JSON; `expires` is in seconds. The reference is given this once. */
export interface DeferredAnswer {
  readonly reference: string;
  readonly id: string;
  readonly expires: number;
  readonly uses: number;
}

/**
 * Puts off what the request stands for.
 * @throws {BehalfError} `request_malformed`, `details_exhausted`, `upstream_unavailable`, and what the authority refuses with
 */
export async function deferWork(
  deps: DeferredWorkDeps,
  inbound: InboundContext,
  body: Buffer,
): Promise<DeferredAnswer> {
  const { details, ...wish } = readWish(body);
  const client = clientOf(deps);
  const compiled = deps.state.snapshot();
  if (compiled === null) throw new BehalfError('snapshot_stale', { why: 'no snapshot' });
  const { delegation } = inbound;
  const { txnToken, delegationChain, delegationCredentials } = delegation.parent;
  const share = deps.shares.take(delegation, details, compiled.detailTypes);
  try {
    const { reference, deferred } = await client.defer({
      txnToken,
      delegationChain,
      delegationCredentials,
      ...wish,
      authorizationDetails: details === null ? '' : JSON.stringify(details),
    });
    if (deferred === null) throw new BehalfError('upstream_unavailable', { to: 'authority', why: 'an empty answer' });
    return { reference, id: deferred.id, expires: deferred.untilS, uses: deferred.uses };
  } catch (thrown) {
    // The authority said no: nothing of it went out. Where no answer came it may have, and stays counted.
    if (thrown instanceof BehalfError && !MAYBE_DONE.has(thrown.code)) share.giveBack();
    throw thrown;
  }
}

/** Refusals after which the grant may be there all the same. */
const MAYBE_DONE: ReadonlySet<string> = new Set(['upstream_unavailable', 'upstream_timeout', 'internal']);

/** The workload's own that stand, newest first, without references. */
export async function listWork(deps: DeferredWorkDeps): Promise<object> {
  const { deferred } = await clientOf(deps).listDeferred({ ended: false });
  return {
    deferred: deferred.map(({ id, purpose, scopes, madeS, untilS, uses, usesLeft, txn, subject }) => ({
      id,
      purpose,
      subject,
      scopes,
      txn,
      made: madeS,
      expires: untilS,
      uses,
      usesLeft,
    })),
  };
}

/** Ends one of the workload's own. @throws {BehalfError} `not_found`, `upstream_unavailable` */
export async function cancelWork(deps: DeferredWorkDeps, id: string): Promise<object> {
  await clientOf(deps).cancelDeferred({ id, reason: 'by its app' });
  return { id, state: 'cancelled' };
}

function clientOf({ client }: DeferredWorkDeps): ServiceClient<Deferrals> {
  if (client === null) throw new BehalfError('upstream_unavailable', { to: 'authority', why: 'none is configured' });
  return client;
}

/** @throws {BehalfError} `request_malformed`, with the member at fault */
function readWish(body: Buffer): Wish {
  const json = readStrictJson(body, JSON_LIMITS);
  if (json instanceof JsonDefect) throw malformed('body', json.why);
  if (!isJsonObject(json)) throw malformed('body', 'is not an object');
  // A wish for less that is not understood is not ignored.
  const unknown = Object.keys(json).find((name) => !MEMBERS.has(name));
  if (unknown !== undefined) throw malformed(unknown.slice(0, 40), 'is not known');
  const { purpose, maxS, uses, scope, authorizationDetails } = json;
  return {
    purpose: purpose === undefined ? '' : textOf(purpose, 'purpose'),
    maxS: maxS === undefined ? 0 : countOf(maxS, 'maxS'),
    uses: uses === undefined ? 0 : countOf(uses, 'uses'),
    scope: scope === undefined ? '' : textOf(scope, 'scope'),
    narrows: scope !== undefined,
    details: authorizationDetails === undefined ? null : detailsOf(authorizationDetails),
  };
}

function textOf(value: JsonValue, member: string): string {
  if (typeof value !== 'string') throw malformed(member, 'is not a text');
  return value;
}

function countOf(value: JsonValue, member: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > 0xffff_ffff)
    throw malformed(member, 'is not a number from 1 on');
  return value;
}

function detailsOf(value: JsonValue): readonly AuthorizationDetail[] {
  const details = isJsonArray(value) ? parseDetailsText(JSON.stringify(value)) : null;
  if (details === null) throw malformed('authorizationDetails', 'is not an array of objects with a `type`');
  return details;
}

function malformed(member: string, why: string): BehalfError {
  return new BehalfError('request_malformed', { member, why });
}
