/**
 * Slots of one connection (WIRE section 2): chains that its receiver has verified once, named by 16 bytes from then on.
 * Kept as parsed, so that a later call is not parsed again; every check still runs on each. Bounded; when full, no more are acknowledged and chains go whole.
 */
import type { ParsedChain } from '../../delegation/chain/index.ts';
import type { ReceivedSlots, SentSlots } from '../call/seam.ts';

const MAX_CHAINS = 1_024;
const MAX_BYTES = 4 * 1_048_576;
/** A chain is kept this long after its end, so that late use gets its own code. */
const KEPT_AFTER_END_S = 65;

interface Kept {
  readonly chain: ParsedChain;
  readonly forgetAtS: number;
}

export function createReceivedSlots(nowS: () => number): ReceivedSlots {
  const chains = new Map<string, Kept>();
  let bytes = 0;
  /** No chain is forgotten earlier: a full table is not gone through for each call that finds it full. */
  let nextForgetS = Number.POSITIVE_INFINITY;
  function dropEnded(): void {
    const now = nowS();
    if (now < nextForgetS) return;
    nextForgetS = Number.POSITIVE_INFINITY;
    for (const [slot, kept] of chains) {
      if (kept.forgetAtS > now) {
        nextForgetS = Math.min(nextForgetS, kept.forgetAtS);
        continue;
      }
      chains.delete(slot);
      bytes -= sizeOf(kept.chain);
    }
  }
  return {
    get: (slot) => chains.get(slot)?.chain ?? null,
    put(slot, chain, endS) {
      if (chains.has(slot)) return true;
      const size = sizeOf(chain);
      if (chains.size >= MAX_CHAINS || bytes + size > MAX_BYTES) dropEnded();
      if (chains.size >= MAX_CHAINS || bytes + size > MAX_BYTES) return false;
      const forgetAtS = endS + KEPT_AFTER_END_S;
      chains.set(slot, { chain, forgetAtS });
      nextForgetS = Math.min(nextForgetS, forgetAtS);
      bytes += size;
      return true;
    },
  };
}

/** Remembers the newest slots only: one that is forgotten here is merely sent whole again. */
export function createSentSlots(): SentSlots {
  const slots = new Set<string>();
  return {
    acknowledged: (slot) => slots.has(slot),
    acknowledge(slot) {
      if (slots.size >= MAX_CHAINS) slots.delete(slots.values().next().value as string);
      slots.add(slot);
    },
  };
}

function sizeOf({ txnToken, delegationChain, delegationCredentials }: ParsedChain): number {
  return txnToken.length + delegationChain.length + delegationCredentials.length;
}
