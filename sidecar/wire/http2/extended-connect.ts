/**
 * When a WebSocket may be asked for over HTTP/2 (RFC 8441 section 3): not before the other side has said that it takes extended
 * CONNECT, in its SETTINGS, which on a new connection may still be on their way.
 */
import type http2 from 'node:http2';
import { type Answer, type Asked, CANCELLED, DEAD_END, type NoAnswer } from '../exchange.ts';

const REFUSED: NoAnswer = { kind: 'none', why: 'the other side takes no WebSockets', unprocessed: false };

/** Asks by `start` once it may, `told` being whether the settings are there; `onClosed` is called where it never does. */
export function askOnceTold(
  session: http2.ClientHttp2Session,
  told: boolean,
  start: () => Asked,
  onClosed: () => void,
): Asked {
  if (told && takesConnect(session)) return start();
  const { promise: answer, resolve } = Promise.withResolvers<Answer | NoAnswer>();
  let asked: Asked | null = null;
  let over = false;
  function give(nothing: NoAnswer): void {
    if (over) return;
    over = true;
    stopWaiting();
    resolve(nothing);
    onClosed();
  }
  function onSettings(): void {
    stopWaiting();
    if (!takesConnect(session)) {
      give(REFUSED);
      return;
    }
    over = true;
    asked = start();
    asked.answer.then(resolve);
  }
  function onClose(): void {
    give({ kind: 'none', why: 'closed while waiting for settings', unprocessed: true });
  }
  function stopWaiting(): void {
    session.off('remoteSettings', onSettings);
    session.off('close', onClose);
  }
  session.on('remoteSettings', onSettings);
  session.on('close', onClose);
  if (told || session.destroyed) queueMicrotask(() => give(REFUSED));
  return {
    body: DEAD_END,
    finish: (trailers) => asked?.finish(trailers),
    answer,
    cancel() {
      if (asked === null) give(CANCELLED);
      else asked.cancel();
    },
    endWith: (last) => asked?.endWith(last),
  };
}

function takesConnect({ destroyed, remoteSettings }: http2.ClientHttp2Session): boolean {
  return !destroyed && remoteSettings.enableConnectProtocol === true;
}
