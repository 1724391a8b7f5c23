import { expect, test } from 'vitest';
import { schemaWith } from '../model/base-schema.ts';
import { actionUid } from '../model/entities.ts';
import { type CedarProgram, compileCedar, evaluate } from './cedar-program.ts';

const SCHEMA = schemaWith('');
const program = (policies: Record<string, string>): CedarProgram => compileCedar({ schema: SCHEMA, policies });
const question = {
  principal: { type: 'Behalf::Workload', id: 'spiffe://x.example/a' },
  action: actionUid('call'),
  resource: { type: 'Behalf::Route', id: 'r' },
  context: {},
  entities: [],
};
const kindOf = (of: CedarProgram): string => evaluate(of, question, { checked: false }).kind;

test('a program that cannot be parsed is an error of its own, and no other program is ever judged by its slot', () => {
  const permits = Array.from({ length: 10 }, (_, index) =>
    program({ [`permit-${index}`]: 'permit(principal, action, resource);' }),
  );
  const forbids = program({ forbid: 'forbid(principal, action, resource);' });
  for (const permit of permits) expect(kindOf(permit)).toBe('allow');
  // As if validated and then not parsed: cedar-wasm out of memory, or trapped.
  const broken: CedarProgram = { ...forbids, digest: 'broken', policies: { broken: 'forbid(((' } };
  for (let i = 0; i < 3; i++) expect(kindOf(broken)).toBe('error');
  expect(kindOf(forbids)).toBe('deny');
  for (const permit of permits) {
    expect(evaluate(permit, question, { checked: false })).toMatchObject({
      kind: 'allow',
      policies: Object.keys(permit.policies),
    });
    expect(kindOf(forbids)).toBe('deny');
  }
});
