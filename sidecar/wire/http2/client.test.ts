/** What an HTTP/2 line says of requests that got no answer: only what certainly was not processed may be sent again. */
import http2 from 'node:http2';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { RequestHead } from '../../call/head.ts';
import type { Asker } from '../exchange.ts';
import { type Http2Line, openHttp2Line } from './client.ts';
import { takeHttp2 } from './server.ts';

const HEAD: RequestHead = { method: 'GET', target: '/', authority: 'a', headers: [], protocol: 'h2' };
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function lineTo(
  onStream: (stream: http2.ServerHttp2Stream, session: http2.ServerHttp2Session) => void,
): Promise<Http2Line> {
  const server = http2.createServer();
  server.on('stream', (stream: http2.ServerHttp2Stream) => {
    stream.on('error', () => undefined);
    onStream(stream, stream.session as http2.ServerHttp2Session);
  });
  server.on('sessionError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const line = openHttp2Line(socket, 'a', { onUnusable: () => undefined, onClose: () => undefined });
  closers.push(() => {
    line.destroy();
    server.close();
  });
  return line;
}

test('a refused stream was not processed', async () => {
  const line = await lineTo((stream) => stream.close(http2.constants.NGHTTP2_REFUSED_STREAM));
  expect(await line.ask(HEAD, false).answer).toMatchObject({ kind: 'none', unprocessed: true });
});

test('a stream above the last one of a GOAWAY was not processed, and the line takes no more', async () => {
  const line = await lineTo((stream, session) => {
    if (stream.id === 1) session.goaway(http2.constants.NGHTTP2_NO_ERROR, 1);
  });
  const first = line.ask(HEAD, false);
  const second = line.ask(HEAD, false);
  expect(await second.answer).toMatchObject({ kind: 'none', unprocessed: true });
  expect(line.usable()).toBe(false);
  expect(await line.ask(HEAD, false).answer).toMatchObject({ kind: 'none', unprocessed: true });
  first.cancel();
});

test('a connection that breaks off in the middle leaves it open whether the request was processed', async () => {
  const line = await lineTo((_stream, session) => session.socket.destroy());
  expect(await line.ask(HEAD, false).answer).toMatchObject({ kind: 'none', unprocessed: false });
});

test('a reset with INTERNAL_ERROR counts as processed', async () => {
  const line = await lineTo((stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
  expect(await line.ask(HEAD, false).answer).toMatchObject({ kind: 'none', unprocessed: false });
});

test('a line that drains answers what is under way and then closes', async () => {
  const line = await lineTo((stream) => {
    stream.respond({ ':status': 200 });
    setTimeout(() => stream.end('late'), 50);
  });
  const answer = await line.ask(HEAD, false).answer;
  line.drain();
  expect(line.usable()).toBe(false);
  if (answer.kind !== 'answer') throw new Error('no answer');
  let text = '';
  for await (const chunk of answer.body) text += chunk;
  expect(text).toBe('late');
  expect(answer.bodyIsWhole()).toBe(true);
});

/** Our server and our client on one connection; `onAsker` gets each request. */
async function oursTo(onAsker: (asker: Asker) => void): Promise<Http2Line> {
  const server = createServer((socket) => {
    takeHttp2(socket, {
      maxHeadBytes: 16_384,
      onRequest: onAsker,
      onMalformed: () => undefined,
      onClose: () => undefined,
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const line = openHttp2Line(socket, 'a', { onUnusable: () => undefined, onClose: () => undefined });
  closers.push(() => {
    line.destroy();
    server.close();
  });
  return line;
}

for (const when of ['at once', 'when the rest is written'] as const) {
  test(`an answer that is broken off ${when} is not whole`, async () => {
    const line = await oursTo((asker) => {
      asker.body.resume();
      asker.sendHead({ status: 200, headers: [] }, false);
      const breakOff = () => asker.breakOff(null);
      asker.answer.write('half', when === 'at once' ? () => undefined : breakOff);
      if (when === 'at once') breakOff();
    });
    const answer = await line.ask(HEAD, false).answer;
    if (answer.kind === 'none') return; // the reset came before the head: no answer at all
    const ended = new Promise((resolve) => answer.body.on('close', resolve));
    answer.body.resume();
    await ended;
    expect(answer.bodyIsWhole()).toBe(false);
  });

  test(`a request’s body that is cancelled ${when} is not whole`, async () => {
    let seen: Asker | null = null;
    const closed = new Promise<void>((resolve) => {
      oursTo((asker) => {
        seen = asker;
        asker.body.on('close', resolve);
        asker.body.on('error', () => undefined);
        asker.body.resume();
      }).then((line) => {
        const asked = line.ask({ ...HEAD, method: 'POST' }, true);
        asked.body.write('half', when === 'at once' ? () => undefined : () => asked.cancel());
        if (when === 'at once') setTimeout(asked.cancel, 20);
      }, resolve);
    });
    await closed;
    expect((seen as Asker | null)?.bodyIsWhole()).toBe(false);
  });
}
