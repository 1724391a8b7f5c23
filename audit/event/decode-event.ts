/**
 * Reads events from protobuf's wire format, by the table of fields. Strict where protobuf is lenient: `parseEvent` takes only
 * the one encoding that `encode-event.ts` writes. A field that this version does not know is refused with the event, since it
 * might be about a person and the log never forgets: collectors are upgraded before reporters.
 */
import protobuf from 'protobufjs/minimal.js';
import { BehalfError } from '../../errors/index.ts';
import type { Event, LogEntry, Personal } from '../../proto/behalf/audit/v1/audit.ts';
import { encodeEvent } from './encode-event.ts';
import { BODIES, BODY_NAMES, type Field, OUTCOMES, PERSONAL_FIELDS, SIDES } from './fields.ts';

/** Longest encoded event; with its commitments it fits an entry of the log's tiles (65,535 bytes). */
export const MAX_EVENT_BYTES = 32_768;
const EMPTY = Buffer.alloc(0);

/**
 * Takes an event as a reporter sent it.
 * @throws {BehalfError} `request_malformed` for anything but the one encoding of an event with a body, epoch and number
 */
export function parseEvent(bytes: Buffer): Event {
  if (bytes.length > MAX_EVENT_BYTES)
    throw new BehalfError('request_malformed', { why: 'event too large', bytes: bytes.length });
  let event: Event;
  try {
    event = decodeEvent(bytes);
  } catch (cause) {
    if (cause instanceof BehalfError) throw cause;
    throw new BehalfError('request_malformed', { why: 'not an event' }, { cause });
  }
  if (!encodeEvent(event).equals(bytes))
    throw new BehalfError('request_malformed', { why: 'not the canonical encoding of an event' });
  if (event.epoch.length !== 16 || !(event.seq > 0))
    throw new BehalfError('request_malformed', { why: 'event without epoch or number' });
  return event;
}

/** Decodes an event of our own keeping. Byte fields are views of `bytes`. */
export function decodeEvent(bytes: Buffer): Event {
  const reader = protobuf.Reader.create(bytes);
  const event: Record<string, unknown> = { seq: 0, epoch: EMPTY, timeUs: 0, body: undefined };
  while (reader.pos < reader.len) {
    const number = reader.uint32() >>> 3;
    if (number === 1) event.seq = uint(reader);
    else if (number === 2) event.epoch = reader.bytes();
    else if (number === 3) event.timeUs = uint(reader);
    else {
      const name = BODY_NAMES.find((candidate) => BODIES[candidate].number === number);
      if (name === undefined || event.body !== undefined)
        throw new BehalfError('request_malformed', { why: 'unknown or second event body', number });
      event.body = name;
      event[name] = readFields(reader, reader.uint32(), BODIES[name].fields);
    }
  }
  if (event.body === undefined) throw new BehalfError('request_malformed', { why: 'event without body' });
  return event as unknown as Event;
}

/** Decodes a personal part as `encodePersonal` wrote it. */
export function decodePersonal(bytes: Buffer): Personal {
  return readFields(protobuf.Reader.create(bytes), bytes.length, PERSONAL_FIELDS) as unknown as Personal;
}

/** Decodes the content of a leaf. */
export function decodeLogEntry(bytes: Buffer): LogEntry {
  const fields = LOG_ENTRY_FIELDS;
  return readFields(protobuf.Reader.create(bytes), bytes.length, fields) as unknown as LogEntry;
}

const LOG_ENTRY_FIELDS: readonly Field[] = [
  { name: 'version', number: 1, kind: 'uint' },
  { name: 'reporter', number: 2, kind: 'string' },
  { name: 'event', number: 3, kind: 'bytes' },
  { name: 'personalCommitment', number: 4, kind: 'bytes' },
  { name: 'chainCommitment', number: 5, kind: 'bytes' },
];

function readFields(reader: protobuf.Reader, length: number, fields: readonly Field[]): Record<string, unknown> {
  const message = defaultsOf(fields);
  const end = reader.pos + length;
  while (reader.pos < end) {
    const number = reader.uint32() >>> 3;
    // INVARIANT: the tables have no holes, so that a field's place is its number less one.
    const field = fields[number - 1];
    if (field === undefined) throw new BehalfError('request_malformed', { why: 'unknown field', number });
    if (field.kind === 'strings') (message[field.name] as string[]).push(reader.string());
    else message[field.name] = readValue(reader, field);
  }
  if (reader.pos !== end) throw new BehalfError('request_malformed', { why: 'a field goes beyond its message' });
  return message;
}

function readValue(reader: protobuf.Reader, field: Field): unknown {
  switch (field.kind) {
    case 'uint':
      return uint(reader);
    case 'sint':
      return Number(reader.sint64());
    case 'bool':
      return reader.bool();
    case 'string':
    case 'strings':
      return reader.string();
    case 'bytes':
      return reader.bytes();
    case 'side':
      return nameOf(SIDES, reader.uint32());
    case 'outcome':
      return nameOf(OUTCOMES, reader.uint32());
    case 'personal':
      return readFields(reader, reader.uint32(), PERSONAL_FIELDS);
    default:
      throw new Error(`no reader for ${field.kind satisfies never}`);
  }
}

function defaultsOf(fields: readonly Field[]): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  for (const { name, kind } of fields) message[name] = DEFAULTS[kind]();
  return message;
}

const zero = (): number => 0;
const DEFAULTS: { readonly [K in Field['kind']]: () => unknown } = {
  uint: zero,
  sint: zero,
  bool: () => false,
  string: () => '',
  bytes: () => EMPTY,
  strings: () => [],
  side: () => 'SIDE_UNSPECIFIED',
  outcome: () => 'OUTCOME_UNSPECIFIED',
  personal: () => null,
};

/** A varint below 2^53, without the detour over a 64-bit integer object. */
function uint(reader: protobuf.Reader): number {
  let value = 0;
  for (let factor = 1; factor < 2 ** 53; factor *= 128) {
    const byte = reader.pos < reader.len ? reader.buf[reader.pos++] : undefined;
    if (byte === undefined) throw new BehalfError('request_malformed', { why: 'cut short' });
    value += (byte & 127) * factor;
    if (byte < 128) {
      if (!Number.isSafeInteger(value)) break;
      return value;
    }
  }
  throw new BehalfError('request_malformed', { why: 'number beyond 2^53' });
}

function nameOf<T>(names: readonly T[], number: number): T {
  const name = names[number];
  if (name === undefined) throw new BehalfError('request_malformed', { why: 'unknown enum value', number });
  return name;
}
