/**
 * The collector as a process: obtains its identity, opens record and log, relays policy and live state, takes in every part's
 * events, its own among them. Order matters twice: nothing is served before the log is at one with the record, and on the way
 * out streams end before the writer does.
 */
import { join } from 'node:path';
import { aborted } from 'node:util';
import type { Logger } from 'pino';
import { vkeyOf } from '../audit/merkle/index.ts';
import { openReporter } from '../audit/report/index.ts';
import { BUILT_IN_DETAIL_TYPES, type DetailTypes } from '../delegation/index.ts';
import { BehalfError } from '../errors/index.ts';
import { partId } from '../identity/index.ts';
import { createGrpcServer, parseListen } from '../identity/mtls/index.ts';
import { type OwnIdentity, openIdentity } from '../identity/own/index.ts';
import type { CollectorConfig } from './config.ts';
import { serveDecision } from './decision/index.ts';
import { createRecorder } from './intake/recorder.ts';
import { serveIntake } from './intake/serve-intake.ts';
import { openLog } from './log/log.ts';
import { openLogKey } from './log/log-key.ts';
import { publishLogKey } from './log/publish-log-key.ts';
import { serveQuery } from './query/serve-query.ts';
import { createRecordReader } from './store/record-reader.ts';
import { createRecordWriter } from './store/record-writer.ts';
import { openRecord } from './store/schema.ts';
import { createRevokedPeers, serveStreams } from './streams/index.ts';

/** Names under the data directory; `behalf log verify` reads them. */
export const RECORD_FILE = 'record.sqlite';
export const LOG_FOLDER = 'log';
export const LOG_KEY_FILE = 'log-key';

/** Facts for who started it. */
export interface CollectorReady {
  /** `host:port` of the gRPC port. */
  readonly address: string;
  readonly id: string;
  /** Folder of checkpoint and tiles. */
  readonly logDir: string;
  /** C2SP verifier key of the log. */
  readonly logKey: string;
}

/**
 * Starts. Aborting the signal shuts down cleanly; then `closed` resolves.
 * @throws {BehalfError} `config_invalid`, `data_directory_unusable`, `key_unusable`, `log_inconsistent`, `port_in_use`, and
 *   refusals of the CA
 */
export async function startCollector(
  config: CollectorConfig,
  deps: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<{ ready: CollectorReady; closed: Promise<void> }> {
  const { log, signal } = deps;
  const identity = await openIdentity({ trust: config.trust, dataDir: config.dataDir, log, signal });
  try {
    const { ready, closed } = await runCollector(config, identity, deps);
    void publishLogKey({ vkey: ready.logKey, caAddress: config.trust.caAddress, identity, log, signal });
    return { ready, closed: closed.finally(() => identity.close()) };
  } catch (error) {
    await identity.close();
    throw error;
  }
}

/** The same with an identity that is there already. */
export async function runCollector(
  config: Pick<CollectorConfig, 'dataDir' | 'listen' | 'passphraseFile'>,
  identity: OwnIdentity,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<{ ready: CollectorReady; closed: Promise<void> }> {
  const { dataDir } = config;
  const { trustDomain } = identity;
  if (identity.spiffeId !== partId(trustDomain, 'collector')) {
    throw new BehalfError('config_invalid', {
      member: 'trust',
      why: 'the identity is not the collector’s',
      id: identity.spiffeId,
    });
  }
  const signer = openLogKey(join(dataDir, LOG_KEY_FILE), trustDomain, config.passphraseFile ?? null);
  const database = openRecord(join(dataDir, RECORD_FILE));
  const revoked = createRevokedPeers();
  const server = createGrpcServer({ identity, log, isRevoked: revoked.isRevoked });
  const stop = new AbortController();
  const closers: (() => Promise<void> | void)[] = [() => database.close()];
  const close = async (): Promise<void> => {
    for (const closer of closers.reverse()) await closer();
    log.info('stopped');
  };
  try {
    // The policy's own types are known once its relay stands, which ends before the writer does.
    let detailTypes: () => DetailTypes = () => BUILT_IN_DETAIL_TYPES;
    const writer = createRecordWriter(database, nowUs, () => detailTypes());
    const logDir = join(dataDir, LOG_FOLDER);
    const ledger = await openLog({ dir: logDir, source: writer, signer, log });
    const recorder = createRecorder({ writer, ledger, log });
    closers.push(recorder.close);
    const state = serveStreams(server, { dataDir, identity, revoked, log, signal: stop.signal });
    closers.push(() => stop.abort());
    detailTypes = () => state.snapshot()?.detailTypes ?? BUILT_IN_DETAIL_TYPES;
    serveDecision(server, { state });
    serveIntake(server, recorder);
    serveQuery(server, { reader: createRecordReader(database), ledger, trustDomain, nowUs });
    closers.push(server.close);
    const { host, port } = parseListen(config.listen);
    const bound = await server.listen({ host, port });
    const address = `${host}:${bound}`;
    // Its own events go the way of everybody's, so that they are checked and counted alike.
    const own = openReporter({
      spoolDir: join(dataDir, 'spool'),
      collectorAddress: `${loopbackFor(host)}:${bound}`,
      identity,
      log,
      signal: stop.signal,
    });
    closers.push(own.close);
    await own.record({ body: 'part', part: { state: 'started', detail: `collector, log size ${ledger.size()}` } });
    closers.push(() => own.record({ body: 'part', part: { state: 'stopped', detail: 'collector' } }));
    const logKey = vkeyOf(signer);
    log.info({ address, logSize: ledger.size(), logKey }, 'collector ready');
    return { ready: { address, id: identity.spiffeId, logDir, logKey }, closed: aborted(signal, signal).then(close) };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

/** An address to reach oneself at: a wildcard is none. */
function loopbackFor(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
}

function nowUs(): number {
  return Date.now() * 1000;
}
