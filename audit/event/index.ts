export type { Event, EventBody, LogEntry } from '../../proto/behalf/audit/v1/audit.ts';
export { chainIdOf, defectOfChain } from './chain-id.ts';
export { decodeEvent, decodeLogEntry, MAX_EVENT_BYTES, parseEvent } from './decode-event.ts';
export { encodeEvent, encodeLogEntry } from './encode-event.ts';
export { joinEvent, newSalt, type PartedEvent, partEvent } from './log-entry.ts';
