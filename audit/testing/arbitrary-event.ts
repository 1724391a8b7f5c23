/** Random events for properties: every body, every field, defaults and extremes among them. */
import fc from 'fast-check';
import type { Event } from '../../proto/behalf/audit/v1/audit.ts';
import { BODIES, BODY_NAMES, type Field, OUTCOMES, PERSONAL_FIELDS, SIDES } from '../event/fields.ts';

const text = fc.oneof(
  fc.constant(''),
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((s) => s.toWellFormed()),
);
const bytes = fc.oneof(
  fc.constant(Buffer.alloc(0)),
  fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b)),
);

const NARROW = new Set(['httpStatus', 'grpcStatusPlusOne', 'depth', 'consentVersion', 'version', 'uses', 'usesLeft']);

function arbitraryValue(field: Field): fc.Arbitrary<unknown> {
  switch (field.kind) {
    case 'uint': {
      const max = NARROW.has(field.name) ? 2 ** 32 - 1 : Number.MAX_SAFE_INTEGER;
      return fc.oneof(fc.constant(0), fc.nat(300), fc.integer({ min: 0, max }));
    }
    case 'sint':
      return fc.integer({ min: -(2 ** 40), max: 2 ** 40 });
    case 'bool':
      return fc.boolean();
    case 'string':
      return text;
    case 'bytes':
      return bytes;
    case 'strings':
      return fc.array(text, { maxLength: 4 });
    case 'side':
      return fc.constantFrom(...SIDES);
    case 'outcome':
      return fc.constantFrom(...OUTCOMES);
    case 'personal':
      return fc.option(personal);
    default:
      throw new Error(`no arbitrary for ${field.kind satisfies never}`);
  }
}

function messageOf(fields: readonly Field[]): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(Object.fromEntries(fields.map((field) => [field.name, arbitraryValue(field)])));
}

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((b) => Buffer.from(b));
const personal = messageOf(PERSONAL_FIELDS);

/** Any event that has an encoding. */
export const arbitraryEvent: fc.Arbitrary<Event> = fc.constantFrom(...BODY_NAMES).chain((body) =>
  fc.record({
    seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    epoch: bytes16,
    timeUs: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    body: fc.constant(body),
    [body]: messageOf(BODIES[body].fields),
  }),
) as unknown as fc.Arbitrary<Event>;
