/** A sidecar without an authority: what would need a root is refused. */
import { BehalfError } from '../../errors/index.ts';
import type { ExitTokens } from './exit-tokens.ts';
import type { Roots } from './roots.ts';

export function createNoRoots(): Roots {
  return {
    forCredential: refuse,
    forOwn: refuse,
    revoke: () => undefined,
    clear: () => undefined,
    evictExpired: () => undefined,
  };
}

export function createNoExitTokens(): ExitTokens {
  return { get: refuse, revoke: () => undefined, clear: () => undefined, evictExpired: () => undefined };
}

function refuse(): Promise<never> {
  return Promise.reject(new BehalfError('upstream_unavailable', { to: 'authority', why: 'none is configured' }));
}
