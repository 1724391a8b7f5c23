/**
 * Chains on record: each is written once, when it is made or seen first, and its events name it from then on. The caches are
 * what remembers which were written; so where a write fails, they forget, and the chain is written again with its next call.
 */
import type { ChainBody } from '../../proto/behalf/audit/v1/audit.ts';
import type { CallEnvironment } from './environment.ts';

/** Puts a chain on record. @throws {BehalfError} `audit_unavailable` */
export function recordChain(env: CallEnvironment, chain: ChainBody): void {
  try {
    env.reporter.recordChain(chain);
  } catch (thrown) {
    forgetRecorded(env);
    throw thrown;
  }
}

/** What was put on record lately may be lost. */
export function forgetRecorded({ chains, links }: Pick<CallEnvironment, 'chains' | 'links'>): void {
  chains.clear();
  links.clear();
}
