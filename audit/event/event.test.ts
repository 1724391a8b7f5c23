import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codeOf } from '../../errors/index.ts';
import type { Event } from '../../proto/behalf/audit/v1/audit.ts';
import { LOADER_OPTIONS } from '../../proto/service.ts';
import { arbitraryEvent } from '../testing/arbitrary-event.ts';
import {
  decodeEvent,
  decodeLogEntry,
  encodeEvent,
  encodeLogEntry,
  joinEvent,
  newSalt,
  parseEvent,
  partEvent,
} from './index.ts';

type Codec = MessageTypeDefinition<object, object>;
const messages = loadSync('behalf/audit/v1/audit.proto', LOADER_OPTIONS);
const protoEvent = messages['behalf.audit.v1.Event'] as Codec;
const protoEntry = messages['behalf.audit.v1.LogEntry'] as Codec;

/** proto-loader writes a default that is set explicitly; proto3's canonical form leaves it out. */
function withoutDefaults(value: unknown): unknown {
  if (Buffer.isBuffer(value) || Array.isArray(value) || typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(
    ([, member]) =>
      !(
        member === 0 ||
        member === '' ||
        member === false ||
        member === null ||
        (Buffer.isBuffer(member) && member.length === 0) ||
        (typeof member === 'string' && member.endsWith('_UNSPECIFIED'))
      ),
  );
  return Object.fromEntries(kept.map(([name, member]) => [name, withoutDefaults(member)]));
}

test('the encoder writes the same bytes as proto-loader', () => {
  fc.assert(
    fc.property(arbitraryEvent, (event) => {
      const expected = protoEvent.serialize(withoutDefaults(event) as object);
      expect(encodeEvent(event).toString('hex')).toBe(expected.toString('hex'));
    }),
    { numRuns: 2000 },
  );
});

test('what was encoded decodes to itself, here and in proto-loader', () => {
  fc.assert(
    fc.property(arbitraryEvent, (event) => {
      const bytes = encodeEvent(event);
      expect(decodeEvent(bytes)).toEqual(event);
      expect(parseEvent(bytes)).toEqual(event);
      expect(protoEvent.deserialize(bytes)).toEqual(event);
    }),
    { numRuns: 1000 },
  );
});

test('any changed, cut or added byte gives request_malformed or another event', () => {
  fc.assert(
    fc.property(arbitraryEvent, fc.nat(), fc.integer({ min: 1, max: 255 }), (event, at, flip) => {
      const bytes = encodeEvent(event);
      const changed = Buffer.from(bytes);
      changed[at % bytes.length]! ^= flip;
      for (const bad of [changed, bytes.subarray(0, at % bytes.length), Buffer.concat([bytes, Buffer.of(flip)])]) {
        try {
          expect(encodeEvent(parseEvent(bad)).equals(bad)).toBe(true);
          expect(bad.equals(bytes)).toBe(false);
        } catch (thrown) {
          expect(codeOf(thrown)).toBe('request_malformed');
        }
      }
    }),
    { numRuns: 1000 },
  );
});

test('a field of a later version is refused, as it might be personal', () => {
  const part: Event = {
    seq: 1,
    epoch: Buffer.alloc(16, 1),
    timeUs: 5,
    body: 'part',
    part: { state: 'started', detail: '' },
  };
  const bytes = encodeEvent(part);
  expect(() => parseEvent(Buffer.concat([bytes, Buffer.of(0xa8, 0x06, 1)]))).toThrow(/request_malformed/);
});

test('a leaf holds no personal byte, and the parts join to the event', () => {
  fc.assert(
    fc.property(arbitraryEvent, fc.string({ minLength: 24, maxLength: 24 }), (event, name) => {
      const personal = {
        salt: newSalt(),
        subject: `u:${name}`,
        clientId: name,
        consentId: 'c',
        consentVersion: 1,
        grant: 'g',
        purpose: name,
      };
      const chainId = newSalt();
      if (event.body !== 'hop') return;
      const full: Event = { ...event, hop: { ...event.hop, personal, chainId } };
      const parted = partEvent('spiffe://t/a', full);
      expect(parted.entry.includes(name)).toBe(false);
      expect(parted.entry.includes(chainId)).toBe(false);
      expect(parted.subject).toBe(personal.subject);
      const entry = decodeLogEntry(parted.entry);
      expect(encodeLogEntry(entry).equals(parted.entry)).toBe(true);
      expect(protoEntry.serialize(entry).equals(parted.entry)).toBe(true);
      expect(joinEvent(decodeEvent(entry.event), parted.secret)).toEqual(full);
      expect(
        partEvent('spiffe://t/a', {
          ...full,
          hop: { ...full.hop, personal: { ...personal, salt: newSalt() } },
        }).entry.equals(parted.entry),
      ).toBe(false);
    }),
    { numRuns: 500 },
  );
});

test('half a surrogate pair, which an app may well send, is written so that it can be read back', () => {
  const part = { state: 'a\ud800b', detail: '\udfff' };
  const event: Event = { seq: 1, epoch: Buffer.alloc(16, 1), timeUs: 1, body: 'part', part };
  expect(parseEvent(encodeEvent(event))).toMatchObject({ part: { state: 'a\ufffdb', detail: '\ufffd' } });
});
