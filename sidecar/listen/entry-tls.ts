/**
 * The entry's port with TLS: a certificate of the operator, read anew when its files change, for clients who may show one of their
 * own. Whose theirs is, nobody judges here: it counts for tokens that are bound to it (RFC 8705).
 */
import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createServer, type TlsOptions } from 'node:tls';
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import type { EntryTlsConfig } from '../config.ts';
import { listenAt } from '../wire/address.ts';
import type { ServedPort } from './plain.ts';

const HANDSHAKE_TIMEOUT_MS = 10_000;
/** How often the files are looked at: many mounts tell no change, so that watching would miss some. */
const RELOAD_MS = 5_000;

/**
 * Opens the port.
 * @throws {BehalfError} `config_invalid` where the files hold no certificate with its key, `port_in_use`
 */
export async function openTlsPort(
  listen: string,
  tls: EntryTlsConfig,
  { log, reloadMs = RELOAD_MS }: { readonly log: Logger; readonly reloadMs?: number },
): Promise<ServedPort> {
  let current = readFiles(tls);
  let onConnection = (socket: Socket): void => void socket.destroy();
  const server = createServer({ ...optionsOf(tls, current), noDelay: true }, (socket) => onConnection(socket));
  server.on('tlsClientError', (error, socket) => {
    // UNTRUSTED: anyone can fail a handshake; a port scan must not fill the record, so this is a log line only.
    log.debug({ err: error, address: socket.remoteAddress ?? '' }, 'tls handshake failed');
    socket.destroy();
  });
  const timer = setInterval(reload, reloadMs);
  timer.unref();

  /** Connections that stand keep what they began with. A pair that does not fit, as in the middle of a change, is tried again. */
  function reload(): void {
    try {
      const next = readFiles(tls);
      if (next.cert === current.cert && next.key === current.key) return;
      server.setSecureContext(optionsOf(tls, next));
      current = next;
      log.info({ notAfter: new X509Certificate(next.cert).validTo }, 'entry certificate read anew');
    } catch (thrown) {
      log.warn({ err: thrown }, 'entry certificate cannot be read anew; the one before stays');
    }
  }

  try {
    const address = await listenAt(server, listen);
    return {
      address,
      server,
      serve(next) {
        onConnection = next;
      },
      close() {
        clearInterval(timer);
        server.close();
      },
    };
  } catch (thrown) {
    clearInterval(timer);
    throw thrown;
  }
}

interface KeyAndCertificate {
  readonly cert: string;
  readonly key: string;
}

function readFiles({ certificateFile, keyFile }: EntryTlsConfig): KeyAndCertificate {
  try {
    const read = { cert: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
    if (!new X509Certificate(read.cert).checkPrivateKey(createPrivateKey(read.key))) throw new Error('they do not fit');
    return read;
  } catch (cause) {
    throw new BehalfError('config_invalid', { key: 'entry.tls', why: 'no certificate with its key' }, { cause });
  }
}

function optionsOf({ clientCertificates = 'request' }: EntryTlsConfig, { cert, key }: KeyAndCertificate): TlsOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ALPNProtocols: ['h2', 'http/1.1'],
    requestCert: clientCertificates === 'request',
    // Clients make their own (RFC 8705 section 2.2): that they hold the key is all that the handshake has to show.
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    // A connection has one certificate from its start to its end, and each one proves it anew.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
}
