/** A withdrawal reaches what is running: the stream is cut, and both sides of its hop say why. */
import { request } from 'node:http';
import { expect, test } from 'vitest';
import { eventually, runMesh } from './mesh/running-mesh.ts';
import { twoServices } from './mesh/two-services.ts';

test('withdrawing consent ends a response that is streaming, never cleanly, with its code on record', async () => {
  const running = await runMesh((dir) => twoServices(dir, { accounts: { ada: 'correct horse' } }));
  try {
    const { accessToken, consentId } = await running.signIn('ada', 'correct horse');
    const stream = openStream(`${running.service('front').entry}/stream`, accessToken);
    await stream.flowing;
    const askedMs = performance.now();
    await running.consents.revokeConsent({ id: consentId, reason: 'test' });
    const answeredMs = performance.now();
    const end = await stream.ended;
    process.stderr.write(
      `withdrawal: answered after ${Math.round(answeredMs - askedMs)} ms, the stream ended ${Math.round(performance.now() - answeredMs)} ms after the answer\n`,
    );
    expect(end).toBe('broken off');
    const ends = await eventually(async () => {
      const found = (await running.hops()).flatMap(({ event }) =>
        event.body === 'hopEnd' && event.hopEnd.outcome === 'OUTCOME_ENDED' ? [event.hopEnd] : [],
      );
      return found.length >= 2 ? found : null;
    });
    expect(new Set(ends.map(({ code }) => code))).toEqual(new Set(['consent_withdrawn']));
    const again = await fetch(`${running.service('front').entry}/notes`, {
      headers: { Authorization: `Bearer ${accessToken}` },
    });
    expect(again.ok).toBe(false);
  } finally {
    await running.stop();
  }
}, 120_000);

/** Reads a stream; says when bytes come and how it ended. */
function openStream(url: string, token: string): { flowing: Promise<void>; ended: Promise<'finished' | 'broken off'> } {
  const outgoing = request(url, { headers: { Authorization: `Bearer ${token}` } });
  const flowing = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<'finished' | 'broken off'>();
  outgoing.on('error', (error) => {
    flowing.reject(error);
    ended.resolve('broken off');
  });
  outgoing.on('response', (response) => {
    let chunks = 0;
    response.on('data', () => {
      chunks += 1;
      if (chunks === 3) flowing.resolve();
    });
    response.on('error', () => {});
    response.on('close', () => ended.resolve(response.complete ? 'finished' : 'broken off'));
  });
  outgoing.end();
  return { flowing: flowing.promise, ended: ended.promise };
}
