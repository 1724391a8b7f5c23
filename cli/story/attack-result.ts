/** What became of an attack, as the record tells it. */
import type { HopView } from '../hops/hop-view.ts';

/** One attack as the record tells it; nulls where the record does not have it. */
export interface AttackResult {
  readonly name: string;
  readonly code: string | null;
  /** SPIFFE ID of the workload whose sidecar refused. */
  readonly refusedBy: string | null;
  readonly hop: string | null;
}

/** Reads it from the call that the attack made. */
export function attackResult(name: string, view: HopView | null): AttackResult {
  const refused = view?.sides.find(({ hop }) => hop.outcome === 'OUTCOME_REFUSED')?.hop;
  return { name, code: refused?.code ?? null, refusedBy: refused?.refusedBy ?? null, hop: view?.id ?? null };
}
