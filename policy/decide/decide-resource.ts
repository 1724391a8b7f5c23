/**
 * Whether a delegation may act on one resource of the app's own: "may this user charge *this* order". The AuthZEN evaluation
 * API is its HTTP face (OpenID AuthZEN 1.0). The policy says it all; scopes of routes were judged when the call came in.
 */
import type { CedarValueJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { SpiffeId } from '../../identity/index.ts';
import {
  actionUid,
  contextOf,
  type DelegationFacts,
  illFormedFact,
  MODEL_ACTIONS,
  resourceEntity,
  serviceUid,
  workloadUid,
} from '../model/entities.ts';
import { evaluate } from './cedar-program.ts';
import type { CompiledSnapshot } from './compile.ts';
import { type Decision, decisionOf, deny, staleness } from './decide-call.ts';

/** AuthZEN resource with its attributes beside `type` and `id`, as JSON. UNTRUSTED only as far as the app is. */
export interface AppResource {
  readonly type: string;
  readonly id: string;
  readonly attributes: { readonly [name: string]: unknown };
}

export interface ResourceRequest {
  readonly nowS: number;
  /** The workload that called the service. */
  readonly caller: SpiffeId;
  /** The service that asks, whose resource it is. */
  readonly service: SpiffeId;
  readonly action: string;
  readonly resource: AppResource;
  readonly facts: DelegationFacts;
}

const MAX_NAME_LENGTH = 256;
const MAX_ATTRIBUTES = 64;
const MAX_VALUE_LENGTH = 4_096;
const MAX_DEPTH = 4;

/**
 * Decides one evaluation. A resource whose type the schema declares is held against it; any other is a `Resource`, with
 * `type`, `id` and `owner`, and its further attributes are not seen. Never throws: what cannot be judged is denied.
 */
export function decideResource(compiled: CompiledSnapshot | null, request: ResourceRequest): Decision {
  const { nowS, caller, service, action, resource, facts } = request;
  const stale = staleness(compiled, nowS);
  if (compiled === null || stale !== null) return stale ?? deny('snapshot_stale');
  // An empty subject would own every resource whose owner is not named.
  if (facts.subject === '')
    return deny('request_malformed', { member: 'subject', why: 'a resource needs a delegation' });
  if (MODEL_ACTIONS.includes(action))
    return deny('request_malformed', { member: 'action', why: `\`${action}\` is for routes` });
  const defect = nameDefect(action, 'action') ?? nameDefect(resource.type, 'type') ?? nameDefect(resource.id, 'id');
  if (defect !== null) return defect;
  const illFormed = illFormedFact(facts);
  if (illFormed !== null) return deny('request_malformed', { member: illFormed, why: 'not well-formed Unicode' });
  const attributes = attributesOf(compiled, resource);
  if (attributes === null)
    return deny('request_malformed', { member: 'resource', why: 'an attribute has no Cedar value' });
  const declared = compiled.program.resourceTypes.get(resource.type);
  const type = resource.type !== PLAIN && declared !== undefined ? resource.type : PLAIN;
  const inService = compiled.program.resourceTypes.get(type)?.inService ?? false;
  const id = type === PLAIN ? `${resource.type}/${resource.id}` : resource.id;
  const entity = resourceEntity(type, id, attributes, inService ? [serviceUid(service)] : []);
  return decisionOf(
    evaluate(
      compiled.program,
      {
        principal: workloadUid(caller),
        action: actionUid(action),
        resource: entity.uid,
        context: contextOf(facts, caller, compiled),
        entities: [entity],
      },
      { checked: true },
    ),
    { action, type: resource.type },
  );
}

/** The type of what is not declared. */
const PLAIN = 'Resource';

function nameDefect(value: string, member: string): Decision | null {
  if (value !== '' && value.length <= MAX_NAME_LENGTH && value.isWellFormed()) return null;
  return deny('request_malformed', { member, why: `not 1 to ${MAX_NAME_LENGTH} characters of Unicode` });
}

function attributesOf(
  compiled: CompiledSnapshot,
  { type, id, attributes }: AppResource,
): Record<string, CedarValueJson> | null {
  if (type === PLAIN || !compiled.program.resourceTypes.has(type)) {
    const owner = attributes['owner'] ?? '';
    return isText(owner) ? { type, id, owner } : null;
  }
  return recordOf(attributes, 1);
}

/** JSON as Cedar values: texts, integers, booleans, lists as sets, objects as records. Null for anything else. */
function cedarValueOf(value: unknown, depth: number): CedarValueJson {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') return isText(value) ? value : null;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : null;
  if (depth >= MAX_DEPTH || typeof value !== 'object' || value === null) return null;
  return Array.isArray(value) ? setOf(value, depth + 1) : recordOf(value, depth + 1);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_VALUE_LENGTH && value.isWellFormed();
}

function setOf(values: readonly unknown[], depth: number): CedarValueJson {
  if (values.length > MAX_ATTRIBUTES) return null;
  const set = values.map((value) => cedarValueOf(value, depth));
  return set.includes(null) ? null : set;
}

function recordOf(object: object, depth: number): Record<string, CedarValueJson> | null {
  const entries = Object.entries(object);
  if (entries.length > MAX_ATTRIBUTES) return null;
  const record: [string, CedarValueJson][] = [];
  for (const [name, member] of entries) {
    // `__entity`, `__extn`, `__expr`: Cedar's escapes, which an app's data must not reach.
    const value = name.startsWith('__') || !isText(name) ? null : cedarValueOf(member, depth);
    if (value === null) return null;
    record.push([name, value]);
  }
  return Object.fromEntries(record);
}
