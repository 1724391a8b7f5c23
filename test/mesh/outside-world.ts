/**
 * Servers outside the mesh, with certificates of a CA of their own made by `openssl`: each writes down every request that it got.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import {
  createServer as createPlain,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer as createTls } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { runOpenssl } from '../../identity/testing/openssl.ts';

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly version: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface OutsideServer {
  readonly port: number;
  readonly seen: SeenRequest[];
  /** Connections taken so far. */
  connections(): number;
  close(): Promise<void>;
}

export interface OutsideCertificate {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/** A CA in a folder, and what it issued. */
export interface OutsideCa {
  readonly pem: string;
  issue(name: string, options?: { readonly expired?: boolean }): OutsideCertificate;
}

export function createOutsideCa(folder: string): OutsideCa {
  mkdirSync(folder, { recursive: true });
  runOpenssl(folder, 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'ca.key');
  const ca = ['-x509', '-new', '-key', 'ca.key', '-subj', '/CN=Outside CA', '-days', '30', '-out', 'ca.pem'];
  runOpenssl(folder, 'req', ...ca, '-addext', 'basicConstraints=critical,CA:TRUE');
  writeFileSync(
    join(folder, 'ca.cnf'),
    `[ca]
default_ca = outside
[outside]
dir = ${folder}
new_certs_dir = ${folder}
database = ${folder}/index.txt
serial = ${folder}/serial
certificate = ${folder}/ca.pem
private_key = ${folder}/ca.key
default_md = sha256
policy = anything
copy_extensions = copy
unique_subject = no
[anything]
commonName = supplied
`,
  );
  writeFileSync(join(folder, 'index.txt'), '');
  writeFileSync(join(folder, 'serial'), '1000\n');
  let issued = 0;
  return {
    pem: readFileSync(join(folder, 'ca.pem'), 'utf8'),
    issue(name, { expired = false } = {}) {
      issued += 1;
      const file = `server-${issued}`;
      runOpenssl(folder, 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${file}.key`);
      const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
      runOpenssl(folder, 'req', '-new', '-key', `${file}.key`, ...subject, '-out', `${file}.csr`);
      const life = expired ? ['-startdate', '20200101000000Z', '-enddate', '20200201000000Z'] : ['-days', '20'];
      const order = ['-config', 'ca.cnf', '-in', `${file}.csr`, '-out', `${file}.pem`, '-notext', '-batch'];
      runOpenssl(folder, 'ca', ...order, ...life);
      return { key: readFileSync(join(folder, `${file}.key`)), cert: readFileSync(join(folder, `${file}.pem`)) };
    },
  };
}

/** HTTP/2 and HTTP/1.1 as ALPN agrees, or HTTP/1.1 alone; plain without a certificate. `/stream` goes on until it is cut. */
export async function startOutside(
  certificate: OutsideCertificate | null,
  { http2 = true }: { readonly http2?: boolean } = {},
): Promise<OutsideServer> {
  const seen: SeenRequest[] = [];
  const onRequest = (incoming: IncomingMessage | Http2ServerRequest, answer: ServerResponse | Http2ServerResponse) =>
    serve(incoming as IncomingMessage, answer as ServerResponse, seen);
  const server: Server =
    certificate === null
      ? createPlain(onRequest as RequestListener)
      : http2
        ? createSecureServer({ ...certificate, allowHTTP1: true }, onRequest)
        : createTls(certificate, onRequest as RequestListener);
  let taken = 0;
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => {
    taken += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    connections: () => taken,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function serve(incoming: IncomingMessage, answer: ServerResponse, seen: SeenRequest[]): void {
  const chunks: Buffer[] = [];
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
  incoming.on('end', () => {
    const { method = '', url = '', httpVersion: version, headers } = incoming;
    seen.push({
      method,
      url,
      version,
      fields: headers as Record<string, string>,
      body: Buffer.concat(chunks).toString(),
    });
    // What a liar outside may try: to speak for the mesh.
    answer.setHeader('delegation-error', 'delegation_revoked');
    answer.setHeader('delegation-slot', 'AAAAAAAAAAAAAAAAAAAAAA');
    if (url.startsWith('/redirect')) return void answer.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
    answer.writeHead(200, { 'content-type': 'text/plain' });
    if (!url.startsWith('/stream')) return void answer.end('from outside');
    const timer = setInterval(() => answer.write('more\n'), 20);
    answer.on('close', () => clearInterval(timer));
  });
}
