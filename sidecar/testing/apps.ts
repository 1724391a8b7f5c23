/** Apps for tests of the sidecar: plain servers, one that says what it got, and what a client got of it. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface TestApp {
  readonly address: string;
  close(): Promise<void>;
}

/** What the echo app says about a request. */
export interface Echo {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

export function startHttp1App(handler: Handler = echo): Promise<TestApp> {
  return listening(http.createServer(handler));
}

export function echo(request: http.IncomingMessage, response: http.ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { method = '', url = '', rawHeaders } = request;
    const headers = request.headers as Record<string, string>;
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({ method, url, headers, rawHeaders, body: Buffer.concat(chunks).toString() } satisfies Echo),
    );
  });
}

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  /** Whether the body came to its end. */
  readonly whole: boolean;
}

export interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: http.OutgoingHttpHeaders | string[];
  readonly body?: string | Buffer;
}

/** One HTTP/1.1 request on a connection of its own. */
export function ask(address: string, { method = 'GET', path = '/', headers = {}, body }: Ask = {}): Promise<Reply> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      const done = (): void =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
          whole: response.complete,
        });
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', done);
      response.on('error', done);
    });
    request.on('error', reject);
    request.end(body);
  });
}

function listening(server: http.Server): Promise<TestApp> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      resolve({
        address: `127.0.0.1:${port}`,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}
