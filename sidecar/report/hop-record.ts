/**
 * One side's account of one call as it becomes known, and the events made of it (DESIGN section 2, `audit.proto`). Nothing
 * secret comes in here: a route's template and not the path, pseudonyms, ids.
 */
import { newSalt } from '../../audit/event/index.ts';
import type { Delegation, DelegationHop } from '../../delegation/index.ts';
import type { EventBody, Outcome, Personal, Side } from '../../proto/behalf/audit/v1/audit.ts';
import type { Answered, Ended } from '../call/seam.ts';
import type { PeerClock } from '../wire/peer-clock.ts';

/** Facts about the mesh's state that decided. */
export interface StateNumbers {
  readonly snapshot: number;
  readonly authority: number;
  readonly ca: number;
}

export interface HopRecord {
  readonly side: Side;
  readonly caller: string;
  readonly callee: string;
  readonly method: string;
  readonly protocol: string;
  readonly startedMs: number;
  hop: DelegationHop;
  ownSerialHex: string;
  peerSerialHex: string;
  route: string;
  policies: readonly string[];
  numbers: StateNumbers;
  chainId: Buffer;
  depth: number;
  scope: string;
  carrier: string;
  delegation: Delegation | null;
  /** Trace that begins at an entry, and the one from outside that it was begun instead of; hexadecimal, or empty. */
  traceId: string;
  outsideTraceId: string;
  /** Of a call to the outside: the exit's name, and what the token that it carried was for. */
  exit: string;
  audience: string;
  tokenJti: string;
  /** From `req_wl` to the one who calls. */
  actors: readonly string[];
  peerAddress: string;
  /** Of the connection that the call came or went on; null where there was none. */
  clock: PeerClock | null;
}

const NO_NUMBERS: StateNumbers = { snapshot: 0, authority: 0, ca: 0 };
const NONE = Buffer.alloc(0);

export interface NewHopRecord {
  readonly side: Side;
  readonly caller: string;
  readonly callee: string;
  readonly method: string;
  readonly protocol: string;
  readonly hop: DelegationHop;
}

export function newHopRecord({ side, caller, callee, method, protocol, hop }: NewHopRecord): HopRecord {
  return {
    side,
    caller,
    callee,
    method,
    protocol,
    startedMs: performance.now(),
    hop,
    ownSerialHex: '',
    peerSerialHex: '',
    route: '',
    policies: [],
    numbers: NO_NUMBERS,
    chainId: NONE,
    depth: 0,
    scope: '',
    carrier: '',
    delegation: null,
    traceId: '',
    outsideTraceId: '',
    exit: '',
    audience: '',
    tokenJti: '',
    actors: [],
    peerAddress: '',
    clock: null,
  };
}

/** Takes over what a delegation says, as this side holds it. */
export function noteDelegation(record: HopRecord, delegation: Delegation): void {
  record.delegation = delegation;
  record.chainId = delegation.chainId;
  record.depth = delegation.depth;
  record.scope = delegation.scope.join(' ');
  record.actors = delegation.actors;
}

const OUTCOMES: Readonly<Record<Answered['outcome'] | Ended['outcome'], Outcome>> = {
  forwarded: 'OUTCOME_FORWARDED',
  refused: 'OUTCOME_REFUSED',
  failed: 'OUTCOME_FAILED',
  ended: 'OUTCOME_ENDED',
};

/** The event of one side. `refusedBy` counts only where there is a code. */
export function hopEvent(record: HopRecord, answered: Answered, refusedBy: string): EventBody {
  const { hop, numbers, delegation } = record;
  const refused = answered.code !== null;
  return {
    body: 'hop',
    hop: {
      hopId: idBytes(hop.hop),
      parentHopId: hop.parent === null ? NONE : idBytes(hop.parent),
      requestId: idBytes(hop.request),
      side: record.side,
      caller: record.caller,
      callee: record.callee,
      ownSerial: serialBytes(record.ownSerialHex),
      peerSerial: serialBytes(record.peerSerialHex),
      method: record.method,
      route: record.route,
      protocol: record.protocol,
      outcome: OUTCOMES[answered.outcome],
      code: answered.code ?? '',
      refusedBy: refused ? refusedBy : '',
      policies: record.policies,
      snapshotNumber: numbers.snapshot,
      authorityEntry: numbers.authority,
      caEntry: numbers.ca,
      httpStatus: answered.httpStatus,
      grpcStatusPlusOne: answered.grpcStatus === null ? 0 : answered.grpcStatus + 1,
      durationUs: elapsedUs(record),
      goesOn: answered.goesOn,
      chainId: record.chainId,
      txn: delegation?.txn ?? '',
      depth: record.depth,
      scope: record.scope,
      carrier: record.carrier,
      personal: delegation === null ? null : personalOf(delegation),
      skewMs: record.clock?.skewMs ?? 0,
      peerAddress: refused ? record.peerAddress : '',
      actors: record.actors,
      traceId: Buffer.from(record.traceId, 'hex'),
      outsideTraceId: Buffer.from(record.outsideTraceId, 'hex'),
      exit: record.exit,
      audience: record.audience,
      tokenJti: record.tokenJti,
    },
  };
}

/** Closes a hop that went on. */
export function hopEndEvent(record: HopRecord, ended: Ended): EventBody {
  return {
    body: 'hopEnd',
    hopEnd: {
      hopId: idBytes(record.hop.hop),
      side: record.side,
      outcome: OUTCOMES[ended.outcome],
      code: ended.code ?? '',
      bytesIn: ended.bytesIn,
      bytesOut: ended.bytesOut,
      durationUs: elapsedUs(record),
      grpcStatusPlusOne: ended.grpcStatus === null ? 0 : ended.grpcStatus + 1,
      requestId: idBytes(record.hop.request),
    },
  };
}

/** The fields about a person, with a salt of their own. */
export function personalOf(delegation: Delegation): Personal {
  return {
    salt: newSalt(),
    subject: delegation.sub,
    clientId: delegation.clientId ?? '',
    consentId: delegation.consent?.id ?? '',
    consentVersion: delegation.consent?.version ?? 0,
    grant: delegation.grant ?? '',
    purpose: delegation.purpose ?? '',
  };
}

function elapsedUs(record: HopRecord): number {
  return Math.round((performance.now() - record.startedMs) * 1000);
}

function idBytes(id: string): Buffer {
  return Buffer.from(id, 'base64url');
}

/** Big-endian bytes of a serial number in hexadecimal. */
function serialBytes(hex: string): Buffer {
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}
