/**
 * What the shop's HTTP services share: a table of routes over `node:http`, JSON in and out, and a clean end. Nothing here
 * knows of the mesh.
 */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Request {
  readonly raw: IncomingMessage;
  /** Values of `{name}` segments. */
  readonly params: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Answers with a status and a JSON value, or takes the response over and returns nothing. */
export type Handler = (request: Request, response: ServerResponse) => Promise<Answer | undefined> | Answer | undefined;

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Handlers by `METHOD /path/{param}`. */
export type Routes = Readonly<Record<string, Handler>>;

/** A refusal of the shop's own, as the status and the body that its client gets. */
export class HttpError extends Error {
  readonly status: number;
  readonly body: unknown;

  constructor(status: number, body: unknown) {
    super(`answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

const MAX_BODY_BYTES = 65_536;

/** Serves the routes on 127.0.0.1 and says so on standard output; ends on SIGTERM or when the parent goes. */
export function serve(name: string, port: number, routes: Routes): void {
  const table = Object.entries(routes).map(([route, handler]) => ({ pattern: patternOf(route), handler }));
  const server = http.createServer((raw, response) => void answer(raw, response));

  async function answer(raw: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const target = `${raw.method} ${new URL(raw.url ?? '/', 'http://shop').pathname}`;
      for (const { pattern, handler } of table) {
        const match = pattern.exec(target);
        if (match === null) continue;
        const answered = await handler({ raw, params: { ...match.groups }, body: await readJson(raw) }, response);
        if (answered !== undefined) sendJson(response, answered.status, answered.body);
        return;
      }
      throw new HttpError(404, { error: 'no such route' });
    } catch (error) {
      if (!(error instanceof HttpError)) console.error(`${name}:`, error);
      if (response.headersSent) response.destroy();
      else if (error instanceof HttpError) sendJson(response, error.status, error.body);
      else sendJson(response, 500, { error: 'the service failed' });
    }
  }

  server.listen(port, '127.0.0.1', () => {
    console.log(JSON.stringify({ ready: true, service: name, port: (server.address() as AddressInfo).port }));
  });
  onEnd(() => {
    server.close();
    server.closeAllConnections();
  });
}

const endings: (() => void)[] = [];
/** What is not closed by then goes with the process. */
const END_GRACE_MS = 500;

/** Calls `end` when this process is to stop: on SIGTERM, SIGINT, or when a parent that forked it goes. */
export function onEnd(end: () => void): void {
  if (endings.push(end) > 1) return;
  for (const news of ['SIGTERM', 'SIGINT', 'disconnect']) process.once(news, endAll);
}

function endAll(): void {
  for (const end of endings.splice(0)) end();
  if (process.connected) process.disconnect?.();
  setTimeout(() => process.exit(0), END_GRACE_MS).unref();
}

/** An environment variable that the service cannot run without. */
export function needed(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') {
    console.error(`${name} is not set`);
    process.exit(2);
  }
  return value;
}

/** A text member of a body. */
export function text(body: Request['body'], member: string): string {
  const value = body[member];
  if (typeof value !== 'string' || value === '' || value.length > 200) {
    throw new HttpError(400, { error: `${member} must be a text of 1 to 200 characters` });
  }
  return value;
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length }).end(bytes);
}

async function readJson(raw: IncomingMessage): Promise<Record<string, unknown>> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of raw) {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length > MAX_BODY_BYTES) throw new HttpError(413, { error: 'the body is too large' });
  }
  if (bytes.length === 0) return {};
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Answered below, like any other body that is no object.
  }
  throw new HttpError(400, { error: 'the body is not a JSON object' });
}

function patternOf(route: string): RegExp {
  return new RegExp(`^${route.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
}
