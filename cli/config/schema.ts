/**
 * What the CLI needs of a part's JSON Schema: its single values, each of which may also come from the environment
 * (`BEHALF_TRUST_CA_ADDRESS`) or a flag (`--trust-ca-address`), and the names that are known at a place. Lists stand in the
 * file alone.
 */

/** The subset of JSON Schema (draft 07) that the parts' configurations use. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  /** A schema where names are the writer's choice. */
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly [keyword: string]: unknown;
}

export type ScalarType = 'string' | 'integer' | 'number' | 'boolean';

/** A single value of a configuration. */
export interface Setting {
  readonly path: readonly string[];
  readonly type: ScalarType;
  readonly description: string;
  /** `trust-ca-address` */
  readonly flag: string;
  /** `BEHALF_TRUST_CA_ADDRESS` */
  readonly variable: string;
}

const SCALARS: readonly string[] = ['string', 'integer', 'number', 'boolean'] satisfies ScalarType[];

/** All single values of a schema, also those within alternatives; a path that two alternatives share stands once. */
export function settingsOf(schema: JsonSchema): Setting[] {
  const found = new Map<string, Setting>();
  collect(schema, [], found);
  return [...found.values()];
}

/** Names of the properties that any alternative of the schema knows at `path` (list indexes as numbers or digits). */
export function namesAt(schema: JsonSchema, path: readonly (string | number)[]): string[] {
  let here = [schema];
  for (const step of path) {
    here = here.flatMap(alternatives).flatMap((one) => {
      const next =
        one.properties?.[String(step)] ??
        (typeof one.additionalProperties === 'object' ? one.additionalProperties : undefined) ??
        (/^\d+$/.test(String(step)) ? one.items : undefined);
      return next === undefined ? [] : [next];
    });
  }
  return [...new Set(here.flatMap(alternatives).flatMap((one) => Object.keys(one.properties ?? {})))];
}

function alternatives(schema: JsonSchema): JsonSchema[] {
  const nested = [...(schema.oneOf ?? []), ...(schema.anyOf ?? []), ...(schema.allOf ?? [])];
  return [schema, ...nested.flatMap(alternatives)];
}

function collect(schema: JsonSchema, path: readonly string[], found: Map<string, Setting>): void {
  for (const one of alternatives(schema)) {
    if (path.length > 0 && typeof one.type === 'string' && SCALARS.includes(one.type)) {
      const words = path.flatMap((name) => name.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase());
      const flag = words.join('-');
      if (!found.has(flag)) {
        const variable = `BEHALF_${flag.replaceAll('-', '_').toUpperCase()}`;
        found.set(flag, {
          path,
          type: one.type as ScalarType,
          description: one.description ?? schema.description ?? '',
          flag,
          variable,
        });
      }
    }
    for (const [name, property] of Object.entries(one.properties ?? {})) collect(property, [...path, name], found);
  }
}
