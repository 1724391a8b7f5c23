/** The list rules of WIRE.md section 1, the same for who verifies and who signs. */
import { BehalfError } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import { MAX_APPEARANCES } from '../limits.ts';

/**
 * Checks `req_wl, aud 1, aud 2 …`: no ID more than twice, counting those before a deferral, and no equal neighbours. At most a
 * few dozen IDs, so scanning beats a map.
 * @throws {BehalfError} `delegation_loop`
 */
export function checkWorkloadList(before: readonly SpiffeId[], workloads: readonly SpiffeId[]): void {
  for (let i = 0; i < workloads.length; i++) {
    const id = workloads[i] as SpiffeId;
    if (i > 0 && workloads[i - 1] === id)
      throw new BehalfError('delegation_loop', { workload: id, why: 'twice in a row' });
    let appearances = 0;
    for (const earlier of before) if (earlier === id) appearances++;
    for (let k = 0; k <= i; k++) if (workloads[k] === id) appearances++;
    if (appearances > MAX_APPEARANCES)
      throw new BehalfError('delegation_loop', { workload: id, why: 'more than twice' });
  }
}
