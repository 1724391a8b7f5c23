/** HTTP/1.1 as an attacker writes it: byte for byte, over TCP or over TLS with whatever certificate was stolen. */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface RawRequest {
  /** `host:port`. */
  readonly address: string;
  /** PEM; null for TLS without a certificate, absent for plain TCP. */
  readonly tls?: { readonly key: string; readonly cert: string } | null;
  readonly method?: string;
  readonly path?: string;
  /** `victim` unless said otherwise. */
  readonly host?: string;
  /** Header lines as they are sent. */
  readonly lines: readonly string[];
  /** Sent in chunks, with these trailer lines after it. */
  readonly trailers?: readonly string[];
}

export interface RawAnswer {
  /** 0 where the connection ended without an answer. */
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

const TIMEOUT_MS = 15_000;
const MAX_ANSWER_BYTES = 256 * 1024;

/** One request on a connection of its own. */
export function sendRaw(request: RawRequest): Promise<RawAnswer> {
  const { address, tls, method = 'GET', path = '/notes', host = 'victim', lines, trailers } = request;
  const at = address.lastIndexOf(':');
  const to = { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
  const chunked = trailers === undefined ? [] : ['Transfer-Encoding: chunked'];
  const head = [`${method} ${path} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...chunked, ...lines];
  const tail = trailers === undefined ? '' : `4\r\nnote\r\n0\r\n${trailers.map((line) => `${line}\r\n`).join('')}\r\n`;
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const write = (): void => void socket.write(`${head.join('\r\n')}\r\n\r\n${tail}`, 'latin1');
    const socket: Socket =
      tls === undefined
        ? connectTcp(to, write)
        : connectTls(
            { ...to, ...(tls ?? {}), ALPNProtocols: ['http/1.1'], rejectUnauthorized: false, minVersion: 'TLSv1.3' },
            write,
          );
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size > MAX_ANSWER_BYTES) socket.destroy();
    });
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => resolve(parseAnswer(Buffer.concat(chunks).toString('latin1'))));
  });
}

/** What came of an attempt: `reached` where the app itself answered, else the code, else the status. */
export function outcomeOf({ status, headers, body }: RawAnswer): string {
  if (status === 200) return 'reached';
  const named = headers.get('delegation-error') ?? /"code":"([a-z_]+)"/.exec(body)?.[1];
  return named ?? (status === 0 ? 'closed' : `status ${status}`);
}

function parseAnswer(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = (end < 0 ? '' : text.slice(0, end)).split('\r\n');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { status: Number(first.split(' ')[1] ?? 0), headers, body: text.slice(end + 4) };
}

/** A connection that stays open: what was said on it, once that is enough or there is no more. */
export interface RawTalk {
  until(enough: (said: string) => boolean, withinMs?: number): Promise<string>;
  isOpen(): boolean;
  close(): void;
}

/** Opens one to a plain port and sends `text`. */
export function talkRaw(address: string, text: string): RawTalk {
  const at = address.lastIndexOf(':');
  const socket = connectTcp({ host: address.slice(0, at), port: Number(address.slice(at + 1)) }, () => {
    socket.write(text, 'latin1');
  });
  let said = '';
  let open = true;
  let changed = (): void => undefined;
  socket.on('data', (chunk: Buffer) => {
    said += chunk.toString('latin1');
    if (said.length > MAX_ANSWER_BYTES) socket.destroy();
    changed();
  });
  socket.on('error', () => undefined); // 'close' follows
  socket.on('close', () => {
    open = false;
    changed();
  });
  return {
    until: (enough, withinMs = TIMEOUT_MS) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => done(), withinMs);
        const done = (): void => {
          clearTimeout(timer);
          changed = () => undefined;
          resolve(said);
        };
        changed = () => {
          if (!open || enough(said)) done();
        };
        changed();
      }),
    isOpen: () => open,
    close: () => void socket.destroy(),
  };
}
