/**
 * How `authorization_details` (RFC 9396) narrow along a chain (WIRE.md section 1): each entry of a link is a subset, by the rule
 * of its registered type, of one entry of the parent, and each of the parent's entries is used once. A type without a rule
 * cannot be narrowed: whoever does not understand a limit must not judge that it shrank.
 */
import { BehalfError } from '../../errors/index.ts';
import type { AuthorizationDetail } from '../root/root-claims.ts';

/** Whether `child` allows nothing that `parent` does not. Both are of the rule's type. Pure; throws nothing. */
export type DetailRule = (child: AuthorizationDetail, parent: AuthorizationDetail) => boolean;

/** Rules by `type`. */
export type DetailRules = ReadonlyMap<string, DetailRule>;

/** No type is registered: details pass on whole or not at all. */
export const NO_DETAIL_RULES: DetailRules = new Map();

/**
 * Checks that `child` is what a link may leave of `parent` (null: the root had none).
 * @throws {BehalfError} `delegation_scope_widened`
 */
export function checkDetailsNarrow(
  child: readonly AuthorizationDetail[],
  parent: readonly AuthorizationDetail[] | null,
  rules: DetailRules,
  object: string,
): void {
  if (child.length === 0) return;
  if (parent === null || child.length > parent.length) {
    throw new BehalfError('delegation_scope_widened', { object, why: 'more details than the parent has' });
  }
  const takenBy = new Array<number>(parent.length).fill(-1);
  for (let i = 0; i < child.length; i++) {
    if (!rules.has((child[i] as AuthorizationDetail).type)) {
      throw new BehalfError('delegation_scope_widened', { object, why: 'details of a type that no rule narrows' });
    }
    if (!place(i, child, parent, rules, takenBy, new Set())) {
      throw new BehalfError('delegation_scope_widened', { object, why: 'details that are no part of the parent’s' });
    }
  }
}

/**
 * Finds entry `i` a parent of its own, moving earlier ones to another parent where that makes room (augmenting paths), so that
 * the order of entries decides nothing.
 */
function place(
  i: number,
  child: readonly AuthorizationDetail[],
  parent: readonly AuthorizationDetail[],
  rules: DetailRules,
  takenBy: number[],
  tried: Set<number>,
): boolean {
  const entry = child[i] as AuthorizationDetail;
  const rule = rules.get(entry.type);
  for (let p = 0; p < parent.length; p++) {
    const candidate = parent[p] as AuthorizationDetail;
    if (tried.has(p) || candidate.type !== entry.type || rule?.(entry, candidate) !== true) continue;
    tried.add(p);
    const holder = takenBy[p] as number;
    if (holder === -1 || place(holder, child, parent, rules, takenBy, tried)) {
      takenBy[p] = i;
      return true;
    }
  }
  return false;
}
