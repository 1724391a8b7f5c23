/**
 * Route templates: `/orders/{id}/items`, `/files/{+rest}`. A segment is a literal, `{name}` for one non-empty segment, or as
 * the last one `{+name}` for the rest of the path, which may be empty. Nothing within a segment: routers differ there.
 */
import { BehalfError } from '../../errors/index.ts';

export const MAX_TEMPLATE_LENGTH = 1_024;
export const MAX_SEGMENTS = 64;

export type TemplateSegment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'parameter'; readonly name: string }
  | { readonly kind: 'rest'; readonly name: string };

/**
 * Takes a template apart.
 * @throws {BehalfError} `snapshot_invalid`
 */
export function parseTemplate(template: string): readonly TemplateSegment[] {
  const refuse = (why: string): BehalfError =>
    new BehalfError('snapshot_invalid', { template: template.slice(0, 120), why });
  if (!template.startsWith('/')) throw refuse('does not begin with a slash');
  if (template.length > MAX_TEMPLATE_LENGTH) throw refuse(`longer than ${MAX_TEMPLATE_LENGTH} characters`);
  const parts = template.slice(1).split('/');
  if (parts.length > MAX_SEGMENTS) throw refuse(`more than ${MAX_SEGMENTS} segments`);
  return parts.map((part, index) => {
    const isLast = index === parts.length - 1;
    if (part === '' && !isLast) throw refuse('empty segment');
    if (part === '.' || part === '..') throw refuse('dot segment');
    const segment = parseSegment(part);
    if (segment === null) throw refuse(`segment \`${part.slice(0, 40)}\` is no literal, \`{name}\` or \`{+name}\``);
    if (segment.kind === 'rest' && !isLast) throw refuse('`{+name}` is not the last segment');
    return segment;
  });
}

/** The template without the names of its parameters: two templates of one shape match the same paths. */
export function shapeOf(segments: readonly TemplateSegment[]): string {
  return segments
    .map((segment) => (segment.kind === 'literal' ? segment.text : segment.kind === 'parameter' ? '{}' : '{+}'))
    .join('/');
}

const PARAMETER = /^\{(\+?)([A-Za-z0-9._-]{1,64})\}$/;
/** Unreserved characters, sub-delimiters, `:` and `@` (RFC 3986 section 3.3) but `;`, which some routers cut at. */
const LITERAL = /^[A-Za-z0-9._~!$&'()*+,=:@-]*$/;

function parseSegment(part: string): TemplateSegment | null {
  const parameter = PARAMETER.exec(part);
  if (parameter !== null) return { kind: parameter[1] === '+' ? 'rest' : 'parameter', name: parameter[2] ?? '' };
  return LITERAL.test(part) ? { kind: 'literal', text: part } : null;
}
