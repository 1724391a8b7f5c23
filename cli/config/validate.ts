/** Judges a configuration by its part's JSON Schema and words the first defect so that it can be found and mended. */
import { Ajv, type ErrorObject } from 'ajv';
import { BehalfError } from '../../errors/index.ts';
import { nearestName } from '../nearest.ts';
import { type JsonSchema, namesAt } from './schema.ts';

/** Where a path of the configuration was written, for the message. */
export type Locate = (path: readonly (string | number)[]) => { readonly [fact: string]: string | number };

/** `date-time` of RFC 3339 section 5.6: a time of day and an offset, always. */
function isDateTime(text: string): boolean {
  const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;
  return form.test(text) && !Number.isNaN(Date.parse(text));
}

/**
 * Returns the value as the type that the schema stands for.
 * @throws {BehalfError} `config_invalid` with the key, what is wrong with it and where it stands
 */
export function validateConfig<T>(schema: JsonSchema, value: unknown, locate: Locate): T {
  const ajv = new Ajv({
    allErrors: true,
    strict: true,
    strictRequired: false,
    strictTypes: false,
    allowUnionTypes: true,
    formats: { uri: (text: string) => URL.canParse(text), 'date-time': isDateTime },
  });
  const check = ajv.compile<T>(schema);
  if (check(value)) return value;
  const defects = (check.errors ?? []).map((error) => describe(schema, error)).filter((defect) => defect !== null);
  // An unknown key explains most: it is usually a misspelt one that is then also missed.
  defects.sort((a, b) => a.rank - b.rank || b.path.length - a.path.length);
  const first = defects[0] ?? { path: [], why: 'has a wrong form', rank: 0 };
  throw new BehalfError('config_invalid', {
    ...locate(first.path),
    key: first.path.length === 0 ? '(the whole file)' : first.path.join('.'),
    why: first.why,
  });
}

interface Defect {
  readonly path: readonly string[];
  readonly why: string;
  readonly rank: number;
}

function describe(schema: JsonSchema, error: ErrorObject): Defect | null {
  const path = error.instancePath.split('/').slice(1).map(unescapePointer);
  const inAlternative = /\/(oneOf|anyOf)\//.test(error.schemaPath);
  switch (error.keyword) {
    case 'additionalProperties': {
      const name = String(error.params['additionalProperty']);
      const known = namesAt(schema, path);
      if (known.includes(name)) return null; // known to another alternative of `oneOf`
      const meant = nearestName(name, known);
      return {
        path: [...path, name],
        why: `unknown key${meant === null ? `; known here: ${known.join(' ')}` : `; did you mean ${meant}?`}`,
        rank: 0,
      };
    }
    case 'required':
      return {
        path: [...path, String(error.params['missingProperty'])],
        why: 'is missing',
        rank: inAlternative ? 3 : 1,
      };
    case 'enum':
      return {
        path,
        why: `must be one of: ${(error.params['allowedValues'] as readonly unknown[]).join(' ')}`,
        rank: 1,
      };
    case 'oneOf':
    case 'anyOf':
      return { path, why: `must have exactly one of its forms, with: ${namesAt(schema, path).join(' or ')}`, rank: 2 };
    default:
      return { path, why: error.message ?? 'has a wrong value', rank: inAlternative ? 3 : 1 };
  }
}

function unescapePointer(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}
