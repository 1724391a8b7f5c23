/**
 * Writes events in protobuf's wire format: fields in the order of their numbers, proto3 defaults left out, the chosen member of
 * the oneof always present. So each event has exactly one encoding, which the log hashes. `Hop` and `HopEnd` are on the path of
 * every call and therefore written out; the others go by the table.
 */
import protobuf from 'protobufjs/minimal.js';
import type { Event, Hop, HopEnd, LogEntry, Personal } from '../../proto/behalf/audit/v1/audit.ts';
import { BODIES, type Field, OUTCOMES, PERSONAL_FIELDS, SIDES } from './fields.ts';

type Writer = protobuf.Writer;

const VARINT = 0;
const LENGTH_DELIMITED = 2;

/** An event's only encoding. */
export function encodeEvent(event: Event): Buffer {
  const writer = protobuf.Writer.create();
  if (event.seq !== 0) writer.uint32(8).uint64(event.seq);
  if (event.epoch.length !== 0) writer.uint32(18).bytes(event.epoch);
  if (event.timeUs !== 0) writer.uint32(24).uint64(event.timeUs);
  switch (event.body) {
    case 'hop':
      writeHop(writer.uint32(34).fork(), event.hop).ldelim();
      break;
    case 'hopEnd':
      writeHopEnd(writer.uint32(42).fork(), event.hopEnd).ldelim();
      break;
    default: {
      const { number, fields } = BODIES[event.body];
      const body = (event as unknown as Record<string, object>)[event.body];
      writer.uint32(tag(number, LENGTH_DELIMITED)).fork();
      writeFields(writer, body as Record<string, unknown>, fields);
      writer.ldelim();
    }
  }
  return writer.finish() as Buffer;
}

/** The personal part alone, as its commitment hashes it. */
export function encodePersonal(personal: Personal): Buffer {
  return writePersonal(protobuf.Writer.create(), personal).finish() as Buffer;
}

/** What a leaf of the log is made of. */
export function encodeLogEntry(entry: LogEntry): Buffer {
  const writer = protobuf.Writer.create();
  if (entry.version !== 0) writer.uint32(8).uint32(entry.version);
  if (entry.reporter !== '') writer.uint32(18).string(wellFormed(entry.reporter));
  if (entry.event.length !== 0) writer.uint32(26).bytes(entry.event);
  if (entry.personalCommitment.length !== 0) writer.uint32(34).bytes(entry.personalCommitment);
  if (entry.chainCommitment.length !== 0) writer.uint32(42).bytes(entry.chainCommitment);
  return writer.finish() as Buffer;
}

function writeHop(writer: Writer, hop: Hop): Writer {
  if (hop.hopId.length !== 0) writer.uint32(10).bytes(hop.hopId);
  if (hop.parentHopId.length !== 0) writer.uint32(18).bytes(hop.parentHopId);
  if (hop.requestId.length !== 0) writer.uint32(26).bytes(hop.requestId);
  if (hop.side !== 'SIDE_UNSPECIFIED') writer.uint32(32).int32(SIDES.indexOf(hop.side));
  if (hop.caller !== '') writer.uint32(42).string(wellFormed(hop.caller));
  if (hop.callee !== '') writer.uint32(50).string(wellFormed(hop.callee));
  if (hop.ownSerial.length !== 0) writer.uint32(58).bytes(hop.ownSerial);
  if (hop.peerSerial.length !== 0) writer.uint32(66).bytes(hop.peerSerial);
  if (hop.method !== '') writer.uint32(74).string(wellFormed(hop.method));
  if (hop.route !== '') writer.uint32(82).string(wellFormed(hop.route));
  if (hop.protocol !== '') writer.uint32(90).string(wellFormed(hop.protocol));
  if (hop.outcome !== 'OUTCOME_UNSPECIFIED') writer.uint32(96).int32(OUTCOMES.indexOf(hop.outcome));
  if (hop.code !== '') writer.uint32(106).string(wellFormed(hop.code));
  if (hop.refusedBy !== '') writer.uint32(114).string(wellFormed(hop.refusedBy));
  for (const policy of hop.policies) writer.uint32(122).string(wellFormed(policy));
  if (hop.snapshotNumber !== 0) writer.uint32(128).uint64(hop.snapshotNumber);
  if (hop.authorityEntry !== 0) writer.uint32(136).uint64(hop.authorityEntry);
  if (hop.caEntry !== 0) writer.uint32(144).uint64(hop.caEntry);
  if (hop.httpStatus !== 0) writer.uint32(152).uint32(hop.httpStatus);
  if (hop.grpcStatusPlusOne !== 0) writer.uint32(160).uint32(hop.grpcStatusPlusOne);
  if (hop.durationUs !== 0) writer.uint32(168).uint64(hop.durationUs);
  if (hop.goesOn) writer.uint32(176).bool(true);
  if (hop.chainId.length !== 0) writer.uint32(186).bytes(hop.chainId);
  if (hop.txn !== '') writer.uint32(194).string(wellFormed(hop.txn));
  if (hop.depth !== 0) writer.uint32(200).uint32(hop.depth);
  if (hop.scope !== '') writer.uint32(210).string(wellFormed(hop.scope));
  if (hop.carrier !== '') writer.uint32(218).string(wellFormed(hop.carrier));
  if (hop.personal !== null) writePersonal(writer.uint32(226).fork(), hop.personal).ldelim();
  if (hop.skewMs !== 0) writer.uint32(232).sint64(hop.skewMs);
  if (hop.peerAddress !== '') writer.uint32(242).string(wellFormed(hop.peerAddress));
  for (const actor of hop.actors) writer.uint32(250).string(wellFormed(actor));
  if (hop.traceId.length !== 0) writer.uint32(258).bytes(hop.traceId);
  if (hop.outsideTraceId.length !== 0) writer.uint32(266).bytes(hop.outsideTraceId);
  if (hop.exit !== '') writer.uint32(274).string(wellFormed(hop.exit));
  if (hop.audience !== '') writer.uint32(282).string(wellFormed(hop.audience));
  if (hop.tokenJti !== '') writer.uint32(290).string(wellFormed(hop.tokenJti));
  return writer;
}

function writeHopEnd(writer: Writer, end: HopEnd): Writer {
  if (end.hopId.length !== 0) writer.uint32(10).bytes(end.hopId);
  if (end.side !== 'SIDE_UNSPECIFIED') writer.uint32(16).int32(SIDES.indexOf(end.side));
  if (end.outcome !== 'OUTCOME_UNSPECIFIED') writer.uint32(24).int32(OUTCOMES.indexOf(end.outcome));
  if (end.code !== '') writer.uint32(34).string(wellFormed(end.code));
  if (end.bytesIn !== 0) writer.uint32(40).uint64(end.bytesIn);
  if (end.bytesOut !== 0) writer.uint32(48).uint64(end.bytesOut);
  if (end.durationUs !== 0) writer.uint32(56).uint64(end.durationUs);
  if (end.grpcStatusPlusOne !== 0) writer.uint32(64).uint32(end.grpcStatusPlusOne);
  if (end.requestId.length !== 0) writer.uint32(74).bytes(end.requestId);
  return writer;
}

function writePersonal(writer: Writer, personal: Personal): Writer {
  if (personal.salt.length !== 0) writer.uint32(10).bytes(personal.salt);
  if (personal.subject !== '') writer.uint32(18).string(wellFormed(personal.subject));
  if (personal.clientId !== '') writer.uint32(26).string(wellFormed(personal.clientId));
  if (personal.consentId !== '') writer.uint32(34).string(wellFormed(personal.consentId));
  if (personal.consentVersion !== 0) writer.uint32(40).uint32(personal.consentVersion);
  if (personal.grant !== '') writer.uint32(50).string(wellFormed(personal.grant));
  if (personal.purpose !== '') writer.uint32(58).string(wellFormed(personal.purpose));
  return writer;
}

function writeFields(writer: Writer, message: Record<string, unknown>, fields: readonly Field[]): void {
  for (const { name, number, kind } of fields) {
    const value = message[name];
    switch (kind) {
      case 'uint':
        if (value !== 0) writer.uint32(tag(number, VARINT)).uint64(value as number);
        break;
      case 'sint':
        if (value !== 0) writer.uint32(tag(number, VARINT)).sint64(value as number);
        break;
      case 'bool':
        if (value === true) writer.uint32(tag(number, VARINT)).bool(true);
        break;
      case 'side':
      case 'outcome': {
        const names: readonly unknown[] = kind === 'side' ? SIDES : OUTCOMES;
        if (names.indexOf(value) > 0) writer.uint32(tag(number, VARINT)).int32(names.indexOf(value));
        break;
      }
      case 'string':
        if (value !== '') writer.uint32(tag(number, LENGTH_DELIMITED)).string(wellFormed(value as string));
        break;
      case 'bytes':
        if ((value as Buffer).length !== 0) writer.uint32(tag(number, LENGTH_DELIMITED)).bytes(value as Buffer);
        break;
      case 'strings':
        for (const text of value as string[]) writer.uint32(tag(number, LENGTH_DELIMITED)).string(wellFormed(text));
        break;
      case 'personal':
        if (value === null) break;
        writer.uint32(tag(number, LENGTH_DELIMITED)).fork();
        writeFields(writer, value as Record<string, unknown>, PERSONAL_FIELDS);
        writer.ldelim();
        break;
      default:
        throw new Error(`no writer for ${kind satisfies never}`);
    }
  }
}

/**
 * Half a surrogate pair has no UTF-8, so that what is read back would not be what was written: it becomes U+FFFD here, as it
 * would in any other reader. Strings of apps come here as they are.
 */
function wellFormed(text: string): string {
  return text.isWellFormed() ? text : text.toWellFormed();
}

function tag(number: number, wireType: number): number {
  return (number << 3) | wireType;
}
