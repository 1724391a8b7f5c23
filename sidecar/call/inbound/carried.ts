/**
 * What a call between sidecars carries (WIRE section 2), read from its header fields: the chain in three fields or by slot,
 * and the hop. Step 1 of the verification order up to the objects themselves.
 */

import type { ParsedChain } from '../../../delegation/chain/index.ts';
import { type DelegationHop, type FindParsedWit, parseChain, parseHop } from '../../../delegation/index.ts';
import { BehalfError } from '../../../errors/index.ts';
import { countOf, fieldOf, type HeaderList } from '../head.ts';
import type { ReceivedSlots } from '../seam.ts';

export interface Carried {
  readonly parsed: ParsedChain;
  readonly hop: DelegationHop;
  /** Whether the chain came by slot: then it needs no acknowledgement. */
  readonly bySlot: boolean;
}

type ChainFields = Parameters<typeof parseChain>[0];

const FIELDS = [
  'txn-token',
  'delegation-chain',
  'delegation-credentials',
  'delegation-hop',
  'delegation-slot',
] as const;
/** The field of a peer's that must not come as a trailer, or null (WIRE section 2). Names are in lower case. */
export function carriedInTrailers(trailers: HeaderList): string | null {
  return FIELDS.find((name) => fieldOf(trailers, name) !== null) ?? null;
}

/** Base64url of 16 bytes. */
const SLOT_LENGTH = 22;

/**
 * UNTRUSTED: all of it. `findWit` knows the WITs of this peer's chains that verified.
 * @throws {BehalfError} `delegation_missing`, `delegation_malformed`, `delegation_too_large`, `delegation_unsupported`
 */
export function readCarried(headers: HeaderList, slots: ReceivedSlots | null, findWit: FindParsedWit): Carried {
  for (const name of FIELDS)
    if (countOf(headers, name) > 1) throw new BehalfError('delegation_malformed', { object: name, why: 'repeated' });
  const whole: ChainFields = {
    txnToken: fieldOf(headers, 'txn-token'),
    delegationChain: fieldOf(headers, 'delegation-chain'),
    delegationCredentials: fieldOf(headers, 'delegation-credentials'),
  };
  const slot = fieldOf(headers, 'delegation-slot');
  const parsed = slot === null ? parseChain(whole, findWit) : chainOfSlot(slot, whole, slots);
  return { parsed, hop: parseHop(fieldOf(headers, 'delegation-hop')), bySlot: slot !== null };
}

function chainOfSlot(slot: string, whole: ChainFields, slots: ReceivedSlots | null): ParsedChain {
  if (whole.txnToken !== null || whole.delegationChain !== null || whole.delegationCredentials !== null) {
    throw new BehalfError('delegation_malformed', { object: 'delegation-slot', why: 'a slot beside whole fields' });
  }
  const chain = slot.length === SLOT_LENGTH && slots !== null ? slots.get(slot) : null;
  if (chain === null)
    throw new BehalfError('delegation_malformed', { object: 'delegation-slot', why: 'never acknowledged' });
  return chain;
}

/** The hop that a call says it is, where that can be read; for records of calls that are refused before. */
export function hopIfReadable(headers: HeaderList): DelegationHop | null {
  try {
    return countOf(headers, 'delegation-hop') === 1 ? parseHop(fieldOf(headers, 'delegation-hop')) : null;
  } catch {
    return null;
  }
}
