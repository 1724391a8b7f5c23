import { EventEmitter } from 'node:events';
import pino from 'pino';
import { expect, test } from 'vitest';
import type { ServiceClient } from '../../identity/mtls/index.ts';
import type { State } from '../../proto/behalf/state/v1/state.ts';
import { followLiveState } from './follow-streams.ts';
import type { LiveStateReceiver } from './live-state-receiver.ts';

test('a fault of ours while live state is taken ends the stream and not the process', async () => {
  const streams: (EventEmitter & { cancelled: boolean })[] = [];
  const client = {
    watchLiveState: () => {
      const stream = Object.assign(new EventEmitter(), {
        cancelled: false,
        cancel: () => {
          stream.cancelled = true;
        },
      });
      streams.push(stream);
      return stream;
    },
  } as unknown as ServiceClient<State>;
  const receiver = {
    receive: () => {
      throw new TypeError('a bug');
    },
    resume: () => ({ authority: 0, ca: 0 }),
  } as unknown as LiveStateReceiver;
  const follower = followLiveState(client, receiver, pino({ level: 'silent' }), () => undefined);
  try {
    const statement = { payload: Buffer.alloc(0), kid: 'k', signature: Buffer.alloc(0) };
    expect(() => streams[0]?.emit('data', { source: 'ca', item: 'entry', entry: statement })).not.toThrow();
    expect(streams[0]?.cancelled).toBe(true);
    await expect.poll(() => streams.length).toBe(2);
  } finally {
    follower.close();
  }
});
