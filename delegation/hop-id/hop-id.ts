/**
 * `Delegation-Hop: <hop id>.<parent hop id or 0>.<request id>` (WIRE.md section 2). Ids are 12 bytes in base64url, so always 16
 * characters and always canonical; of a hop id the first 8 characters are the sending worker's prefix, the other 8 its counter.
 */
import { BehalfError } from '../../errors/index.ts';
import { base64urlChar, base64urlValue } from '../../identity/jws.ts';

export const HOP_PREFIX_BYTES = 6;
export const HOP_ID_BYTES = 12;
const ID_LENGTH = 16;
const PREFIX_LENGTH = 8;
const NO_PARENT = '0';
const DOT = 0x2e;
const MAX_COUNTER = 2 ** 48 - 1;

/** The ids of one call, each as 16 characters. */
export interface DelegationHop {
  readonly hop: string;
  /** The hop id of the inbound request that this call came out of; null where it entered the mesh. */
  readonly parent: string | null;
  readonly request: string;
}

/** Makes one worker's hop ids, each once. */
export interface HopMinter {
  next(): string;
}

/**
 * A minter for a worker that has drawn `prefix` (6 random bytes) once.
 * @throws {BehalfError} `internal` for a prefix of another size; from `next` after 2^48 ids
 */
export function createHopMinter(prefix: Buffer): HopMinter {
  if (prefix.length !== HOP_PREFIX_BYTES) throw new BehalfError('internal', { why: 'a hop prefix has 6 bytes' });
  const prefixText = prefix.toString('base64url');
  let counter = 0;
  return {
    next() {
      if (counter > MAX_COUNTER) throw new BehalfError('internal', { why: 'no hop ids are left' });
      return prefixText + formatCounter(counter++);
    },
  };
}

/**
 * Reads the header; null where it is absent.
 * @throws {BehalfError} `delegation_malformed`
 */
export function parseHop(value: string | null): DelegationHop {
  if (value === null) return malformed('absent');
  const parentEnd = value.length - ID_LENGTH - 1;
  const hop = value.slice(0, ID_LENGTH);
  const parent = value.slice(ID_LENGTH + 1, parentEnd);
  const request = value.slice(parentEnd + 1);
  if (value.charCodeAt(ID_LENGTH) !== DOT || value.charCodeAt(parentEnd) !== DOT) return malformed('not three ids');
  if (!isHopId(hop) || !isHopId(request)) return malformed('an id that is not 12 bytes');
  if (parent === NO_PARENT) return { hop, parent: null, request };
  return isHopId(parent) ? { hop, parent, request } : malformed('an id that is not 12 bytes');
}

/** The header of a call. */
export function formatHop({ hop, parent, request }: DelegationHop): string {
  return `${hop}.${parent ?? NO_PARENT}.${request}`;
}

/** Whether the text is the base64url form of 12 bytes. */
export function isHopId(text: string): boolean {
  if (text.length !== ID_LENGTH) return false;
  for (let i = 0; i < ID_LENGTH; i++) if (base64urlValue(text.charCodeAt(i)) < 0) return false;
  return true;
}

/** The sending worker's part of a hop id. */
export function hopPrefix(hop: string): string {
  return hop.slice(0, PREFIX_LENGTH);
}

/** The counter of a hop id, 0 to 2^48 - 1. */
export function hopCounter(hop: string): number {
  let counter = 0;
  for (let i = PREFIX_LENGTH; i < ID_LENGTH; i++) counter = counter * 64 + base64urlValue(hop.charCodeAt(i));
  return counter;
}

/** Eight characters of six bits each are exactly 48 bits. */
function formatCounter(counter: number): string {
  const high = Math.floor(counter / 2 ** 24);
  const low = counter % 2 ** 24;
  return formatHalf(high) + formatHalf(low);
}

function formatHalf(bits: number): string {
  return base64urlChar(bits >>> 18) + base64urlChar(bits >>> 12) + base64urlChar(bits >>> 6) + base64urlChar(bits);
}

function malformed(why: string): never {
  throw new BehalfError('delegation_malformed', { object: 'Delegation-Hop', why });
}
