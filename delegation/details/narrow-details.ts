/**
 * How `authorization_details` (RFC 9396) narrow along a chain (docs/delegation-chain.md section 4): each entry of a link is a
 * subset, by the rule of its registered type, of one entry of the parent, and each of the parent's entries is used once. A type
 * that is not registered cannot be narrowed: whoever does not understand a limit must not judge that it shrank.
 */
import { BehalfError } from '../../errors/index.ts';
import { isJsonArray, type JsonValue } from '../../identity/jws.ts';
import type { AuthorizationDetail } from '../root/root-claims.ts';
import { parseAmount } from './amount.ts';
import type { DetailRule, DetailTypes } from './detail-type.ts';
import { hasDetailForm, sameJson } from './form.ts';

/**
 * Whether `child` allows nothing that `parent` does not: both of the form of the same registered type, and each member of the
 * parent narrowed by its rule. Pure; throws nothing.
 */
export function isDetailSubset(child: AuthorizationDetail, parent: AuthorizationDetail, types: DetailTypes): boolean {
  const type = types.get(child.type);
  if (type === undefined || !hasDetailForm(child, type) || !hasDetailForm(parent, type)) return false;
  for (const [member, rule] of Object.entries(type.rules)) {
    const held = parent[member];
    if (held !== undefined && !narrows(child[member], held, rule)) return false;
  }
  return true;
}

function narrows(child: JsonValue | undefined, parent: JsonValue, rule: DetailRule): boolean {
  // Absent restricts nothing: a child without a member of its parent would be wider.
  if (child === undefined) return false;
  switch (rule) {
    case 'equal':
      return sameJson(child, parent);
    case 'subset':
      return isJsonArray(child) && isJsonArray(parent) && child.every((item) => parent.includes(item));
    case 'max':
      return typeof child === 'number' && typeof parent === 'number' && child <= parent;
    case 'max-amount': {
      const [less, more] = [parseAmount(child), parseAmount(parent)];
      return less !== null && more !== null && less.currency === more.currency && less.value <= more.value;
    }
  }
}

/**
 * Checks that `child` is what a link may leave of `parent` (null: the root had none).
 * @throws {BehalfError} `delegation_scope_widened`
 */
export function checkDetailsNarrow(
  child: readonly AuthorizationDetail[],
  parent: readonly AuthorizationDetail[] | null,
  types: DetailTypes,
  object: string,
): void {
  if (child.length === 0) return;
  const held = parent ?? [];
  if (child.length > held.length) throw widened(object, 'more details than the parent has');
  for (const { type } of child) if (!types.has(type)) throw widened(object, 'details of a type that is not registered');
  const fits = (i: number, p: number) =>
    isDetailSubset(child[i] as AuthorizationDetail, held[p] as AuthorizationDetail, types);
  if (matchDetails(child.length, held.length, fits) === null)
    throw widened(object, 'details that are no part of the parent’s');
}

/**
 * Gives each of `children` entries a parent's entry of its own that `fits`, by index, or null where there is no way. The order of
 * entries decides nothing: earlier ones move where that makes room (augmenting paths). At most 64 entries a side, by the
 * limits of the format.
 */
export function matchDetails(
  children: number,
  parents: number,
  fits: (child: number, parent: number) => boolean,
): readonly number[] | null {
  const takenBy = new Array<number>(parents).fill(-1);
  const allowed = Array.from({ length: children }, (_, i) =>
    Array.from({ length: parents }, (__, p) => p).filter((p) => fits(i, p)),
  );
  const place = (i: number, tried: Set<number>): boolean => {
    for (const p of allowed[i] as number[]) {
      if (tried.has(p)) continue;
      tried.add(p);
      const holder = takenBy[p] as number;
      if (holder === -1 || place(holder, tried)) {
        takenBy[p] = i;
        return true;
      }
    }
    return false;
  };
  for (let i = 0; i < children; i++) if (!place(i, new Set())) return null;
  return Array.from({ length: children }, (_, i) => takenBy.indexOf(i));
}

function widened(object: string, why: string): BehalfError {
  return new BehalfError('delegation_scope_widened', { object, why });
}
