/** Scope values (RFC 6749 section 3.3): tokens joined by one space, or empty; compared byte for byte, no wildcards. */
import { BehalfError } from '../../errors/index.ts';

/** Longest scope list that is compared by scanning; longer ones build a set first. */
const SCAN_LIMIT = 16;

/**
 * The tokens of a scope value, or null where it is not one: other characters than RFC 6749 allows, other separators than one
 * space, or a token twice.
 */
export function parseScope(value: string): readonly string[] | null {
  if (value.length === 0) return [];
  for (let i = 0; i < value.length; i++) if (!isScopeCharacter(value.charCodeAt(i))) return null;
  const tokens = value.split(' ');
  for (const token of tokens) if (token.length === 0) return null;
  return new Set(tokens).size === tokens.length ? tokens : null;
}

/** The scope value of tokens. */
export function formatScope(tokens: readonly string[]): string {
  return tokens.join(' ');
}

/** Whether every token of `child` is one of `parent`. */
export function isScopeSubset(child: readonly string[], parent: readonly string[]): boolean {
  if (child.length > parent.length) return false;
  if (parent.length <= SCAN_LIMIT) return child.every((token) => parent.includes(token));
  const tokens = new Set(parent);
  return child.every((token) => tokens.has(token));
}

/** What both have, in the order of the first: for narrowing by a ceiling, which may name more than there is. */
export function intersectScopes(scope: readonly string[], ceiling: readonly string[]): readonly string[] {
  return scope.filter((token) => ceiling.includes(token));
}

/** @throws {BehalfError} `delegation_scope_widened` */
export function checkScopeNarrows(child: readonly string[], parent: readonly string[], object: string): void {
  if (!isScopeSubset(child, parent)) {
    throw new BehalfError('delegation_scope_widened', { object, why: 'a scope that the parent does not have' });
  }
}

/** `%x21 / %x23-5B / %x5D-7E`, and the space between tokens. */
function isScopeCharacter(code: number): boolean {
  return code >= 0x20 && code <= 0x7e && code !== 0x22 && code !== 0x5c;
}
