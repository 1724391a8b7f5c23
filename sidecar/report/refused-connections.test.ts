import { expect, test } from 'vitest';
import { BehalfError, type ErrorCode } from '../../errors/index.ts';
import type { ConnectionRefused, EventBody } from '../../proto/behalf/audit/v1/audit.ts';
import type { ConnectionRefusal } from '../call/seam.ts';
import {
  createRefusedConnections,
  MAX_ADDRESSES,
  REFUSALS_WINDOW_MS,
  WHOLE_PER_ADDRESS,
  WHOLE_PER_CODE,
} from './refused-connections.ts';

function start() {
  const written: ConnectionRefused[] = [];
  const state = { nowMs: 5_000, full: false };
  const refused = createRefusedConnections({
    nowMs: () => state.nowMs,
    reporter: {
      async record(event: EventBody) {
        if (state.full) throw new BehalfError('audit_unavailable');
        if (event.body === 'connectionRefused') written.push(event.connectionRefused);
      },
    },
  });
  return { refused, written, state };
}

function refusal(changes: Partial<ConnectionRefusal> = {}, code: ErrorCode = 'peer_untrusted'): ConnectionRefusal {
  const error = new BehalfError(code, { rule: 'issuer' });
  return { listener: 'mesh', error, address: '10.0.0.1', peer: '', peerSerialHex: 'abc', ...changes };
}

/** What is on record of all refusals, one by one or counted. */
function total(written: readonly ConnectionRefused[]): number {
  return written.reduce((sum, { suppressed }) => sum + (suppressed === 0 ? 1 : suppressed), 0);
}

test('the first of a window are written whole', async () => {
  const { refused, written } = start();
  await refused.record(refusal());
  expect(written).toEqual([
    {
      code: 'peer_untrusted',
      rule: 'issuer',
      peerAddress: '10.0.0.1',
      peerSerial: Buffer.from('0abc', 'hex'),
      peer: '',
      listener: 'mesh',
      suppressed: 0,
    },
  ]);
});

test('what comes beyond is counted, and the count is written once when the window ends', async () => {
  const { refused, written, state } = start();
  for (let i = 0; i < 5_000; i += 1) await refused.record(refusal());
  expect(written).toHaveLength(WHOLE_PER_ADDRESS);
  refused.sweep();
  expect(written).toHaveLength(WHOLE_PER_ADDRESS);
  state.nowMs += REFUSALS_WINDOW_MS;
  refused.sweep();
  refused.sweep();
  expect(written.slice(WHOLE_PER_ADDRESS)).toEqual([
    expect.objectContaining({
      code: 'peer_untrusted',
      listener: 'mesh',
      peerAddress: '10.0.0.1',
      suppressed: 5_000 - WHOLE_PER_ADDRESS,
    }),
  ]);
});

test('a new window begins with whole events again, also where nobody swept', async () => {
  const { refused, written, state } = start();
  for (let i = 0; i < WHOLE_PER_ADDRESS + 3; i += 1) await refused.record(refusal());
  state.nowMs += REFUSALS_WINDOW_MS;
  await refused.record(refusal());
  expect(written.slice(WHOLE_PER_ADDRESS).map(({ suppressed }) => suppressed)).toEqual([3, 0]);
});

test('another address, code or listener has its own few', async () => {
  const { refused, written } = start();
  for (let i = 0; i < 100; i += 1) await refused.record(refusal());
  const before = written.length;
  await refused.record(refusal({ address: '10.0.0.2' }));
  await refused.record(refusal({}, 'peer_unauthenticated'));
  await refused.record(refusal({ listener: 'local' }, 'local_peer_refused'));
  expect(written.slice(before).every(({ suppressed }) => suppressed === 0)).toBe(true);
  expect(written).toHaveLength(before + 3);
});

test('many addresses do not make many events: the bound is for all together, and each refusal is still on record', async () => {
  const { refused, written, state } = start();
  const sent = 20_000;
  for (let i = 0; i < sent; i += 1) await refused.record(refusal({ address: `10.0.${i >> 8}.${i & 255}` }));
  expect(written).toHaveLength(WHOLE_PER_CODE);
  state.nowMs += REFUSALS_WINDOW_MS;
  refused.sweep();
  // One more than addresses: what the table could not hold is counted under none.
  expect(written.length).toBeLessThanOrEqual(WHOLE_PER_CODE + MAX_ADDRESSES + 1);
  expect(written.find(({ peerAddress }) => peerAddress === '')?.suppressed).toBe(sent - MAX_ADDRESSES);
  expect(total(written)).toBe(sent);
});

test('a full spool refuses the refusal, and keeps the count for later', async () => {
  const { refused, written, state } = start();
  for (let i = 0; i < WHOLE_PER_ADDRESS + 7; i += 1) await refused.record(refusal());
  state.full = true;
  state.nowMs += REFUSALS_WINDOW_MS;
  await expect(refused.record(refusal())).rejects.toMatchObject({ code: 'audit_unavailable' });
  state.full = false;
  state.nowMs += REFUSALS_WINDOW_MS;
  refused.sweep();
  expect(written.slice(WHOLE_PER_ADDRESS).map(({ suppressed }) => suppressed)).toEqual([7]);
});

test('closing writes what is only counted', async () => {
  const { refused, written } = start();
  for (let i = 0; i < WHOLE_PER_ADDRESS + 2; i += 1) await refused.record(refusal());
  await refused.close();
  expect(written.at(-1)?.suppressed).toBe(2);
});
