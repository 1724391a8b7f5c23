import fc from 'fast-check';
import { expect, test } from 'vitest';
import { closeFrame, createFrameTracker } from './frames.ts';

interface Frame {
  readonly opcode: number;
  readonly masked: boolean;
  readonly size: number;
  readonly lengthForm: 7 | 16 | 64;
}

function bytesOf({ opcode, masked, size, lengthForm }: Frame): Buffer {
  const mask = masked ? 0x80 : 0;
  const form = size > 65_535 ? 64 : size > 125 && lengthForm === 7 ? 16 : lengthForm;
  const head = Buffer.alloc(2 + (form === 7 ? 0 : form / 8) + (masked ? 4 : 0), 0xff);
  head[0] = 0x80 | opcode;
  head[1] = mask | (form === 7 ? size : form === 16 ? 126 : 127);
  if (form === 16) head.writeUInt16BE(size, 2);
  if (form === 64) head.writeBigUInt64BE(BigInt(size), 2);
  return Buffer.concat([head, Buffer.alloc(size, 0x88)]);
}

const frame: fc.Arbitrary<Frame> = fc.record({
  opcode: fc.constantFrom(0, 1, 2, 9, 10),
  masked: fc.boolean(),
  size: fc.oneof(fc.integer({ min: 0, max: 130 }), fc.constantFrom(125, 126, 127, 65_535, 65_536, 70_000)),
  lengthForm: fc.constantFrom<Frame['lengthForm']>(7, 16, 64),
});

test('however a stream is cut, a frame may follow exactly where one has ended', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      (frames, cuts) => {
        const parts = frames.map(bytesOf);
        const whole = Buffer.concat(parts);
        const boundaries = new Set([0]);
        let end = 0;
        for (const part of parts) {
          end += part.length;
          boundaries.add(end);
        }
        const tracker = createFrameTracker();
        let at = 0;
        for (const cut of [...cuts.map((n) => n % (whole.length + 1)), whole.length].sort((a, b) => a - b)) {
          tracker.feed(whole.subarray(at, cut));
          at = cut;
          expect(tracker.between()).toBe(boundaries.has(at));
          expect(tracker.closed()).toBe(false);
        }
      },
    ),
  );
});

test('nothing follows a Close', () => {
  const tracker = createFrameTracker();
  const close = bytesOf({ opcode: 8, masked: true, size: 2, lengthForm: 7 });
  tracker.feed(close.subarray(0, 3));
  expect([tracker.between(), tracker.closed()]).toEqual([false, false]);
  tracker.feed(close.subarray(3));
  expect([tracker.between(), tracker.closed()]).toEqual([false, true]);
});

test('a length that no integer counts is the end of all boundaries', () => {
  const tracker = createFrameTracker();
  tracker.feed(Buffer.from([0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255, 0x81, 0]));
  expect([tracker.between(), tracker.closed()]).toEqual([false, false]);
});

test('the Close of the mesh says why, and is masked toward the server', () => {
  const plain = closeFrame('consent_withdrawn', false);
  expect(plain.toString('latin1')).toBe('\x88\x13\x03\xf0consent_withdrawn');
  const masked = closeFrame('consent_withdrawn', true);
  const mask = masked.subarray(2, 6);
  const payload = masked.subarray(6).map((byte, i) => byte ^ (mask[i % 4] as number));
  expect([masked[0], masked[1]]).toEqual([0x88, 0x80 | 19]);
  expect(Buffer.from(payload).equals(plain.subarray(2))).toBe(true);
  const tracker = createFrameTracker();
  tracker.feed(masked);
  expect(tracker.closed()).toBe(true);
  // A sidecar that stops is no policy: 1001.
  expect(closeFrame('upstream_unavailable', false).readUInt16BE(2)).toBe(1001);
});
