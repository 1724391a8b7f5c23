/**
 * A refusal as a gRPC answer, and back: status code, message, and `grpc-status-details-bin` = `google.rpc.Status` with one
 * `google.rpc.ErrorInfo`, `reason` the code and `domain` `behalf` (WIRE.md section 4; google/rpc/status.proto and
 * error_details.proto). Written by hand over protobufjs's wire format, since three messages need no schema at run time.
 */
import protobuf from 'protobufjs/minimal.js';
import { BehalfError, type ErrorDetail } from './behalf-error.ts';
import { ERROR_TABLE, type ErrorCode, GRPC_STATUS, isErrorCode } from './table.ts';

/** Metadata key that carries the status. */
export const STATUS_DETAILS_KEY = 'grpc-status-details-bin';

const DOMAIN = 'behalf';
const ERROR_INFO_URL = 'type.googleapis.com/google.rpc.ErrorInfo';
/** Name under which the hop travels in `ErrorInfo.metadata`. */
const HOP_KEY = 'hop';

/** Bounds what is sent, so that status and trailers stay under the 8 KiB that gRPC peers take by default. */
const MAX_FACTS = 16;
const MAX_FACT_LENGTH = 256;
/** Bounds what is read. UNTRUSTED: a peer chooses these bytes. */
const MAX_STATUS_BYTES = 16_384;
const MAX_DETAILS = 16;

/** What a gRPC answer needs of a refusal. */
export interface GrpcAnswer {
  readonly status: number;
  readonly message: string;
  /** Value of `STATUS_DETAILS_KEY`. */
  readonly details: Buffer;
}

/** `google.rpc.ErrorInfo`. */
export interface ErrorInfo {
  readonly reason: string;
  readonly domain: string;
  readonly metadata: ReadonlyMap<string, string>;
}

/** The gRPC answer of a refusal that is on record under `hop`. */
export function grpcAnswerOf(error: BehalfError, hop: string | null = null): GrpcAnswer {
  const status = GRPC_STATUS[ERROR_TABLE[error.code].grpc];
  const message = error.message.slice(0, MAX_FACT_LENGTH * 2);
  const metadata = new Map<string, string>();
  if (hop !== null) metadata.set(HOP_KEY, hop);
  for (const [name, value] of Object.entries(error.detail).slice(0, MAX_FACTS)) {
    if (name !== HOP_KEY) metadata.set(name, textOf(value).slice(0, MAX_FACT_LENGTH));
  }
  const info = encodeErrorInfo({ reason: error.code, domain: DOMAIN, metadata });
  return { status, message, details: encodeStatus(status, message, info) };
}

/**
 * The refusal that a gRPC answer stands for. An answer without our `ErrorInfo` comes from the transport or from another
 * program: unreachable and timed out keep their meaning, anything else is `internal`.
 */
export function errorOfGrpcAnswer(status: number, message: string, details: Uint8Array | null): BehalfError {
  const info = details === null ? null : decodeErrorInfo(details);
  if (info !== null && info.domain === DOMAIN && isErrorCode(info.reason)) {
    return new BehalfError(info.reason, Object.fromEntries(info.metadata));
  }
  return new BehalfError(codeOfStatus(status), { grpc: status, message: message.slice(0, MAX_FACT_LENGTH) });
}

/**
 * The first `ErrorInfo` of a `google.rpc.Status`; null where there is none or the bytes are not such a status. Never
 * throws: a refusal that cannot be read is still a refusal.
 */
export function decodeErrorInfo(status: Uint8Array): ErrorInfo | null {
  if (status.length > MAX_STATUS_BYTES) return null;
  try {
    return readStatus(protobuf.Reader.create(status));
  } catch {
    return null;
  }
}

function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case CANCELLED:
    case GRPC_STATUS.UNAVAILABLE:
      return 'upstream_unavailable';
    case GRPC_STATUS.DEADLINE_EXCEEDED:
      return 'upstream_timeout';
    case GRPC_STATUS.RESOURCE_EXHAUSTED:
      return 'overloaded';
    default:
      return 'internal';
  }
}

/** Not in `GRPC_STATUS`, as we never answer with it. */
const CANCELLED = 1;

function textOf(value: ErrorDetail[string]): string {
  return Array.isArray(value) ? value.join(' ') : String(value);
}

/** Tags: field number and wire type as on the wire; 2 is length-delimited, 0 a varint. */
const tag = (field: number, wireType: 0 | 2): number => (field << 3) | wireType;

function encodeErrorInfo({ reason, domain, metadata }: ErrorInfo): Uint8Array {
  const writer = protobuf.Writer.create();
  writer.uint32(tag(1, 2)).string(reason).uint32(tag(2, 2)).string(domain);
  for (const [key, value] of metadata) {
    writer.uint32(tag(3, 2)).fork().uint32(tag(1, 2)).string(key).uint32(tag(2, 2)).string(value).ldelim();
  }
  return writer.finish();
}

function encodeStatus(code: number, message: string, errorInfo: Uint8Array): Buffer {
  const writer = protobuf.Writer.create();
  writer.uint32(tag(1, 0)).int32(code).uint32(tag(2, 2)).string(message);
  writer.uint32(tag(3, 2)).fork().uint32(tag(1, 2)).string(ERROR_INFO_URL).uint32(tag(2, 2)).bytes(errorInfo).ldelim();
  return Buffer.from(writer.finish());
}

function readStatus(reader: protobuf.Reader): ErrorInfo | null {
  let seen = 0;
  while (reader.pos < reader.len) {
    const at = reader.uint32();
    if (at !== tag(3, 2)) {
      reader.skipType(at & 7);
      continue;
    }
    seen += 1;
    if (seen > MAX_DETAILS) return null;
    const info = readAny(protobuf.Reader.create(reader.bytes()));
    if (info !== null) return info;
  }
  return null;
}

function readAny(reader: protobuf.Reader): ErrorInfo | null {
  let url = '';
  let value: Uint8Array = new Uint8Array(0);
  while (reader.pos < reader.len) {
    const at = reader.uint32();
    if (at === tag(1, 2)) url = reader.string();
    else if (at === tag(2, 2)) value = reader.bytes();
    else reader.skipType(at & 7);
  }
  return url === ERROR_INFO_URL ? readErrorInfo(protobuf.Reader.create(value)) : null;
}

function readErrorInfo(reader: protobuf.Reader): ErrorInfo {
  let reason = '';
  let domain = '';
  const metadata = new Map<string, string>();
  while (reader.pos < reader.len) {
    const at = reader.uint32();
    if (at === tag(1, 2)) reason = reader.string();
    else if (at === tag(2, 2)) domain = reader.string();
    else if (at === tag(3, 2)) {
      const [key, value] = readMapEntry(protobuf.Reader.create(reader.bytes()));
      if (metadata.size <= MAX_FACTS) metadata.set(key, value.slice(0, MAX_FACT_LENGTH));
    } else reader.skipType(at & 7);
  }
  return { reason, domain, metadata };
}

function readMapEntry(reader: protobuf.Reader): [string, string] {
  let key = '';
  let value = '';
  while (reader.pos < reader.len) {
    const at = reader.uint32();
    if (at === tag(1, 2)) key = reader.string();
    else if (at === tag(2, 2)) value = reader.string();
    else reader.skipType(at & 7);
  }
  return [key, value];
}
