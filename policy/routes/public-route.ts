/** Reading whether a route is public, wherever a route is written. */
import { invalid, join, readBoolean } from '../snapshot/read-json.ts';

/**
 * Whether a route is public, as a member that only such routes have. One that needs scopes cannot be: nobody without a credential has any.
 * @throws {BehalfError} `snapshot_invalid`
 */
export function readPublic(value: unknown, scopes: unknown, place: string): { readonly public?: true } {
  if (value === undefined || !readBoolean(value, join(place, 'public'))) return {};
  if (!Array.isArray(scopes) || scopes.length > 0)
    throw invalid(join(place, 'public'), 'needs scopes, which nobody without a credential has');
  return { public: true };
}
