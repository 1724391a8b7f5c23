/**
 * Policies and schema as cedar-wasm keeps them parsed. It keeps them under ids for ever (there is no drop call), so we own a
 * few slots and let a new program take the one that was used longest ago; a program whose slot was taken is parsed again when
 * it is next asked. So memory stays bounded however many snapshots a process sees (DESIGN section 10).
 */
import { createHash } from 'node:crypto';
import {
  type AuthorizationAnswer,
  checkParseContext,
  checkParseEntities,
  type DetailedError,
  type EntityType,
  preparsePolicySet,
  preparseSchema,
  type StatefulAuthorizationCall,
  schemaToJson,
  statefulIsAuthorized,
  type ValidationAnswer,
  validate,
} from '@cedar-policy/cedar-wasm/nodejs';
import { BehalfError } from '../../errors/index.ts';
import { parseSpiffeId } from '../../identity/index.ts';
import { NAMESPACE, tellsDetails } from '../model/base-schema.ts';
import { CALL_ACTION, contextOf, exitRouteEntity, routeEntity } from '../model/entities.ts';
import type { PolicySnapshot, SnapshotRoute } from '../snapshot/snapshot.ts';
import { type AskedFacts, factsAsked } from './asked-facts.ts';

/** Programs that are kept parsed at once: the current snapshot, the next, and a few past ones for the collector. */
const SLOTS = 8;

/** A validated set of policies with its schema. */
export interface CedarProgram {
  /** SHA-256 over schema and policies: equal programs share a slot. */
  readonly digest: string;
  readonly schema: string;
  readonly policies: Readonly<Record<string, string>>;
  /** What the policies can ask of the context of a call. */
  readonly asked: AskedFacts;
  /** Whether the model has exits. */
  readonly hasExits: boolean;
  /** Resource types that the schema declares, and whether each may stand in a `Service`. */
  readonly resourceTypes: ReadonlyMap<string, { readonly inService: boolean }>;
}

/** What one evaluation gave. An error is a value here; the callers deny it. */
export type Evaluation =
  | { readonly kind: 'allow' | 'deny'; readonly policies: readonly string[] }
  | { readonly kind: 'error'; readonly policies: readonly string[]; readonly why: string };

type Question = Omit<StatefulAuthorizationCall, 'preparsedSchemaName' | 'preparsedPolicySetId' | 'validateRequest'>;

/**
 * Parses and validates (strictly) the Cedar part of a snapshot.
 * @throws {BehalfError} `snapshot_invalid`, with the policy's id and what Cedar says
 */
export function compileCedar({ schema, policies }: PolicySnapshot['cedar']): CedarProgram {
  const parsed = schemaToJson(schema);
  if (parsed.type === 'failure') throw cedarDefect('cedar.schema', parsed.errors);
  // Snapshots that were signed before there were exits have a model without them.
  const hasExits = parsed.json[NAMESPACE]?.actions?.['exit'] !== undefined;
  checkModel(schema, hasExits);
  checkValidation(validate({ schema, policies: { staticPolicies: policies }, validationSettings: { mode: 'strict' } }));
  const entityTypes = parsed.json[NAMESPACE]?.entityTypes ?? {};
  const program: CedarProgram = {
    digest: digestOf(schema, policies),
    schema,
    policies,
    asked: factsAsked(policies),
    hasExits,
    resourceTypes: new Map(
      Object.entries(entityTypes)
        .filter(([name]) => !MODEL_TYPES.has(name))
        .map(([name, type]) => [name, { inService: mayStandInService(type) }]),
    ),
  };
  slotOf(program);
  return program;
}

/**
 * Asks the policies. With `checked` the request is held against the schema too, for those that an app composed.
 * A policy that errors is an error of the whole: Cedar skips it, but a skipped `forbid` would allow.
 */
export function evaluate(program: CedarProgram, question: Question, { checked }: { checked: boolean }): Evaluation {
  try {
    const id = slotOf(program);
    const answer = checked
      ? statefulIsAuthorized({ ...question, preparsedSchemaName: id, validateRequest: true, preparsedPolicySetId: id })
      : statefulIsAuthorized({ ...question, preparsedPolicySetId: id });
    return evaluationOf(answer);
  } catch (error) {
    // The callers let no input through that is known to make it throw; what throws all the same is no permission.
    return { kind: 'error', policies: [], why: error instanceof Error ? error.message : 'not evaluated' };
  }
}

function evaluationOf(answer: AuthorizationAnswer): Evaluation {
  if (answer.type === 'failure')
    return { kind: 'error', policies: [], why: answer.errors[0]?.message ?? 'not evaluated' };
  const { decision, diagnostics } = answer.response;
  const [error] = diagnostics.errors;
  if (error !== undefined) {
    return { kind: 'error', policies: diagnostics.errors.map(({ policyId }) => policyId), why: error.error.message };
  }
  return { kind: decision, policies: diagnostics.reason };
}

/** Types of the model that are no resource of an app's. */
const MODEL_TYPES: ReadonlySet<string> = new Set(['Workload', 'Service', 'Route', 'Exit', 'ExitRoute']);

function mayStandInService(type: EntityType<string>): boolean {
  return (
    'memberOfTypes' in type &&
    (type.memberOfTypes ?? []).some((name) => name === 'Service' || name === `${NAMESPACE}::Service`)
  );
}

/** INVARIANT: what `entities.ts` makes fits the schema, so that calls need not be held against it one by one. */
function checkModel(schema: string, hasExits: boolean): void {
  const id = parseSpiffeId('spiffe://model.example/check');
  const route: SnapshotRoute = {
    method: 'GET',
    template: '/',
    operation: 'check',
    scopes: [],
    passes: [],
    fresh: false,
    bind: 'none',
    details: [],
  };
  const facts = {
    subject: '',
    client: '',
    consent: '',
    purpose: '',
    scopes: ['a'],
    actors: [id],
    depth: 1,
    own: false,
    details: ['payment'],
  };
  const context = checkParseContext({
    context: contextOf(facts, id, { tellsDetails: tellsDetails(schema) }),
    schema,
    action: CALL_ACTION,
  });
  if (context.type === 'failure') throw cedarDefect('cedar.schema', context.errors);
  const named = { route, name: 'GET /' };
  const made = [routeEntity(id, named)];
  if (hasExits) made.push(exitRouteEntity('check', { origin: 'https://check.example', token: null }, named));
  const entities = checkParseEntities({ entities: made, schema });
  if (entities.type === 'failure') throw cedarDefect('cedar.schema', entities.errors);
}

function checkValidation(answer: ValidationAnswer): void {
  if (answer.type === 'failure') throw cedarDefect('cedar.policies', answer.errors);
  const [first] = answer.validationErrors;
  if (first !== undefined) throw cedarDefect(`cedar.policies.${first.policyId}`, [first.error]);
}

function cedarDefect(at: string, errors: readonly DetailedError[]): BehalfError {
  const [first] = errors;
  const help = first?.help ?? null;
  return new BehalfError('snapshot_invalid', {
    at,
    why: (first?.message ?? 'not valid Cedar').slice(0, 400),
    ...(help === null ? {} : { help: help.slice(0, 200) }),
    ...offsetOf(first),
  });
}

function offsetOf(error: DetailedError | undefined): { offset?: number } {
  const start = error?.sourceLocations?.[0]?.start;
  return start === undefined ? {} : { offset: start };
}

function digestOf(schema: string, policies: Readonly<Record<string, string>>): string {
  const ordered = Object.keys(policies)
    .sort()
    .map((id) => [id, policies[id]]);
  return createHash('sha256')
    .update(JSON.stringify([schema, ordered]))
    .digest('hex');
}

/** Digest of the program in each slot, the one used longest ago first. The slot's number never changes. */
const slots = new Map<string, number>();

/** The id under which cedar-wasm has the program, parsed anew if its slot was taken. */
function slotOf(program: CedarProgram): string {
  const held = slots.get(program.digest);
  if (held !== undefined) {
    touch(program.digest, held);
    return slotId(held);
  }
  const slot = freeSlot();
  // Should one of the two fail, the slot holds a mixture: it stays free, and the next program overwrites it.
  const id = slotId(slot);
  const schema = preparseSchema(id, program.schema);
  if (schema.type === 'failure') throw cedarDefect('cedar.schema', schema.errors);
  const policies = preparsePolicySet(id, { staticPolicies: { ...program.policies } });
  if (policies.type === 'failure') throw cedarDefect('cedar.policies', policies.errors);
  slots.set(program.digest, slot);
  return id;
}

function slotId(slot: number): string {
  return `behalf-${slot}`;
}

function touch(digest: string, slot: number): void {
  if (slots.size < 2) return;
  slots.delete(digest);
  slots.set(digest, slot);
}

/** A slot that no program holds; at the limit that of the program used longest ago. */
function freeSlot(): number {
  if (slots.size >= SLOTS) {
    const oldest = slots.keys().next();
    if (!oldest.done) slots.delete(oldest.value);
  }
  const held = new Set(slots.values());
  let slot = 0;
  while (held.has(slot)) slot += 1;
  return slot;
}
