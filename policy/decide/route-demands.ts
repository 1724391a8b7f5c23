/**
 * What a route demands of the links that call it (WIRE section 1: "A route may require `rte`, `once` or a fresh root"). Both
 * sides ask here: the caller's sidecar to make such a link, the receiver's to refuse a call without it.
 */
import type { SpiffeId } from '../../identity/index.ts';
import { type CompiledSnapshot, isDemanding, type MatchedRoute, matchRoute } from './compile.ts';

export interface RouteDemands {
  /** The route's name, where the last link has to be bound to it by `rte`; else null. */
  readonly rte: string | null;
  /** Whether the last link has to be good once, at the pod that it is sent to (`once`). */
  readonly once: boolean;
  /** Whether a root that is obtained for this call must not have served another. */
  readonly fresh: boolean;
}

export const NO_DEMANDS: RouteDemands = { rte: null, once: false, fresh: false };

/** What a route that was matched demands; an unknown one demands nothing, as it is refused anyway. */
export function demandsOfRoute(matched: MatchedRoute | null): RouteDemands {
  if (matched === null || !isDemanding(matched.route)) return NO_DEMANDS;
  const { bind, fresh } = matched.route;
  return { rte: bind === 'none' ? null : matched.name, once: bind === 'pod', fresh };
}

/**
 * What a call of a service demands, `path` without query. Costs no search where no route of the service demands anything.
 * @throws {BehalfError} `request_malformed` as `matchRoute`
 */
export function demandsOfCall(
  compiled: CompiledSnapshot,
  service: SpiffeId,
  method: string,
  path: string,
): RouteDemands {
  if (!compiled.demanding.has(service)) return NO_DEMANDS;
  return demandsOfRoute(matchRoute(compiled, service, method, path));
}
