/**
 * Which members of the context the policies can ask for when a call is decided, read from their syntax (Cedar's JSON policy format).
 * What none asks for cannot change an answer, so that a decision made for one user holds for the next one, whose call is else alike.
 * Where in doubt a member counts as asked for.
 */
import { policyToJson } from '@cedar-policy/cedar-wasm/nodejs';
import { CALL_ACTION } from '../model/entities.ts';

/** Members of the context by name, or `all` where some policy handles the context as a whole. */
export type AskedFacts = ReadonlySet<string> | 'all';

/** What policies ask of the context of a call; those for other actions are passed over. */
export function factsAsked(policies: Readonly<Record<string, string>>): AskedFacts {
  const asked = new Set<string>();
  for (const text of Object.values(policies)) {
    const parsed = policyToJson(text);
    if (parsed.type === 'failure') return 'all';
    const { action, conditions } = parsed.json;
    if (action.op === '==' && 'entity' in action && !isCall(action.entity)) continue;
    if (!collect(conditions, asked)) return 'all';
  }
  return asked;
}

function isCall(entity: unknown): boolean {
  const { type, id } = (isObject(entity) && isObject(entity['__entity']) ? entity['__entity'] : entity) as Partial<
    typeof CALL_ACTION
  >;
  return (type === undefined || type === CALL_ACTION.type) && (id === undefined || id === CALL_ACTION.id);
}

/**
 * Adds what an expression reads of the context; false where it reads more than single members.
 * INVARIANT: in Cedar's JSON an expression is an object whose one member is its operator, `{"Var": "context"}` stands for the
 * context, and only `.` and `has` take one member of a record.
 */
function collect(expression: unknown, asked: Set<string>): boolean {
  if (Array.isArray(expression)) return expression.every((part) => collect(part, asked));
  if (!isObject(expression)) return true;
  return Object.entries(expression).every(([operator, operand]) => {
    if (operator === 'Var') return operand !== 'context';
    if ((operator === '.' || operator === 'has') && isObject(operand) && isContext(operand['left'])) {
      return addMember(operand['attr'], asked);
    }
    return collect(operand, asked);
  });
}

/** `has a.b` names its member as a path. */
function addMember(attr: unknown, asked: Set<string>): boolean {
  const name: unknown = Array.isArray(attr) ? attr[0] : attr;
  if (typeof name !== 'string') return false;
  asked.add(name);
  return true;
}

function isContext(expression: unknown): boolean {
  return isObject(expression) && expression['Var'] === 'context';
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
