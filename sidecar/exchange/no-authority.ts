/** A sidecar without an authority: what would need a root is refused. */
import { BehalfError } from '../../errors/index.ts';
import type { Roots } from './roots.ts';

export function createNoRoots(): Roots {
  const refuse = () =>
    Promise.reject(new BehalfError('upstream_unavailable', { to: 'authority', why: 'none is configured' }));
  return {
    forCredential: refuse,
    forOwn: refuse,
    revoke: () => undefined,
    clear: () => undefined,
    evictExpired: () => undefined,
  };
}
