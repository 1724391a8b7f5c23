/**
 * Starts the certificate authority: opens its store and keys, gives itself an identity, and serves. It starts before every
 * other part, so that the collector may be unreachable for as long as it likes.
 */
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { aborted } from 'node:util';
import type { Logger } from 'pino';
import { openReporter } from '../audit/report/index.ts';
import { BehalfError } from '../errors/index.ts';
import { readPassphrase } from '../identity/at-rest/index.ts';
import {
  parseTrustDomain,
  type SpiffeId,
  type StatementKey,
  systemClock,
  type TrustDomain,
} from '../identity/index.ts';
import { createGrpcServer, parseListen } from '../identity/mtls/index.ts';
import { knowsUnixPeers } from '../identity/socket-facts.ts';
import type { EventBody } from '../proto/behalf/audit/v1/audit.ts';
import { certificateAuthority, registration } from '../proto/behalf/ca/v1/ca.ts';
import { openLiveStateSource } from '../state/index.ts';
import { ownerOf } from './attest/index.ts';
import { namedJwk } from './authorities/key-name.ts';
import { openWitKey } from './authorities/wit-key.ts';
import { BUNDLE_FILE, openMeshDocument } from './bundle/mesh-document.ts';
import { type CaConfig, DEFAULT_TTL_S } from './config.ts';
import { recordIssued } from './issue/issued.ts';
import { createIssuer, type IssuedSvid } from './issue/issuer.ts';
import { openOwnIdentity } from './own-identity.ts';
import { revocationOfKey } from './revoke/revocations.ts';
import { serveCertificateAuthority } from './service/certificate-authority.ts';
import { lifeOf } from './service/issuance.ts';
import { serveRegistration } from './service/registration.ts';
import type { Trail } from './service/trail.ts';
import { openDatabase } from './store/database.ts';
import { readChain, readKey, readSetting, readVaultParameters } from './store/key-store.ts';
import { openVault, type Vault } from './store/vault.ts';

/** Facts for who started it. */
export interface CaReady {
  /** `host:port` of the gRPC port. */
  readonly address: string;
  readonly unixSocket: string;
  readonly trustDomain: TrustDomain;
  readonly id: SpiffeId;
  readonly bundleFile: string;
  /** When the issuing certificate ends, seconds. */
  readonly issuerEndsS: number;
}

/** The largest request publishes keys; whoever has no identity may send as much. */
const MAX_MESSAGE_BYTES = 256 * 1024;
const WARN_BEFORE_END_S = 30 * 86_400;

/**
 * Starts. Aborting the signal shuts down cleanly; then `closed` resolves.
 * @throws {BehalfError} `key_unusable`, `data_directory_unusable` (not initialised, or in use), `config_invalid`, `port_in_use`
 */
export async function startCa(
  config: CaConfig,
  deps: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<{ ready: CaReady; closed: Promise<void> }> {
  const { log, signal } = deps;
  const database = openDatabase(config.dataDir);
  try {
    return await serve(config, database, log, signal);
  } catch (error) {
    if (database.isOpen) database.close();
    throw error;
  }
}

async function serve(
  config: CaConfig,
  database: DatabaseSync,
  log: Logger,
  signal: AbortSignal,
): Promise<{ ready: CaReady; closed: Promise<void> }> {
  const { dataDir, collectorAddress, unixSocket } = config;
  const clock = systemClock;
  const trustDomain = checkTrustDomain(database, config);
  const vault = unlock(database, config);
  const document = openMeshDocument({ database, dataDir, key: statementKey(database, vault, 'bundle'), log });
  const witKey = openWitKey({ database, vault, document, trail: () => trail, log });
  const issuer = createIssuer({
    trustDomain,
    issuingKey: readKey(database, vault, 'issuing'),
    chain: readChain(database, 'issuing'),
    witKey: witKey.current,
    bundle: document.bundle,
    clock,
  });
  if (issuer.endsS < clock() + WARN_BEFORE_END_S)
    log.warn({ endsS: issuer.endsS }, 'the issuing certificate ends soon');

  const lives = { defaultTtlS: config.ttlS ?? DEFAULT_TTL_S, allowShortLives: config.allowShortLives ?? false };
  const revocationListeners = new Set<() => void>();
  // The reporter needs our identity to deliver: what is issued before it is open waits for it.
  const early: EventBody[] = [];
  let trail: Trail = { record: async (event) => void early.push(event) };
  const identity = await openOwnIdentity({
    trustDomain,
    issuer,
    document,
    ttlS: lifeOf(0, 0, lives),
    onIssued: async (svid) => {
      recordIssued(database, svid, null);
      await trail.record(ownIssuance(svid));
    },
    log,
    clock,
    signal,
  });
  const reporter =
    collectorAddress === undefined
      ? null
      : openReporter({ spoolDir: join(dataDir, 'spool'), collectorAddress, identity, log, signal });
  if (reporter === null) log.warn('no collector is configured: issuance is on record in this log alone');
  trail = reporter ?? { record: async () => undefined };
  for (const event of early) await trail.record(event);
  const liveState =
    collectorAddress === undefined
      ? null
      : openLiveStateSource({
          source: 'ca',
          file: join(dataDir, 'live-state.sqlite'),
          key: statementKey(database, vault, 'live-state'),
          collectorAddress,
          identity,
          log,
          signal,
        });

  const unfinished = revocationOfKey(database, witKey.current().kid);
  if (unfinished !== null) {
    // We stopped between the revocation of our WIT key and its replacement; whether the mesh heard of it is not known.
    await liveState?.revoke(unfinished.revocation, unfinished.forgetAtS);
    await witKey.replace();
  }

  if (!knowsUnixPeers()) log.warn('peers of Unix sockets cannot be known here: attestation by uid is refused');
  // Who attests has no certificate yet.
  const server = createGrpcServer({ identity, log, allowAnonymous: true, maxMessageBytes: MAX_MESSAGE_BYTES });
  const shared = { database, trustDomain, trail, log, clock };
  const ownerUid = ownerOf(dataDir);
  const onRevoked = (listener: () => void): (() => void) => {
    revocationListeners.add(listener);
    return () => void revocationListeners.delete(listener);
  };
  server.add(
    certificateAuthority,
    serveCertificateAuthority({ ...shared, ...lives, issuer, document, ownerUid, onRevoked }),
  );
  const isWitKey = (kid: string): boolean => document.bundle().witKeys.has(kid);
  const revoked = (): void => {
    for (const listener of revocationListeners) listener();
  };
  server.add(
    registration,
    serveRegistration({ ...shared, liveState, isWitKey, replaceWitKey: witKey.replace, revoked }),
  );

  const close = async (): Promise<void> => {
    await server.close();
    await liveState?.close();
    await reporter?.close();
    await identity.close();
    database.close();
    log.info('stopped');
  };
  try {
    const { host, port } = parseListen(config.listen);
    const address = `${host}:${await server.listen({ host, port })}`;
    await server.listenUnix(unixSocket);
    const closed = aborted(signal, signal).then(close);
    const bundleFile = join(dataDir, BUNDLE_FILE);
    log.info({ address, unixSocket, trustDomain }, 'certificate authority ready');
    return {
      ready: { address, unixSocket, trustDomain, id: identity.spiffeId, bundleFile, issuerEndsS: issuer.endsS },
      closed,
    };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

function checkTrustDomain(database: DatabaseSync, { dataDir, trustDomain }: CaConfig): TrustDomain {
  const stored = readSetting(database, 'trust_domain');
  if (stored === null) {
    throw new BehalfError('data_directory_unusable', {
      directory: dataDir,
      why: 'it holds no certificate authority; run `behalf ca init`',
    });
  }
  if (stored !== trustDomain) {
    throw new BehalfError('config_invalid', { member: 'trustDomain', why: `the directory is of \`${stored}\`` });
  }
  return parseTrustDomain(stored);
}

function unlock(database: DatabaseSync, { passphraseFile }: CaConfig): Vault {
  const parameters = readVaultParameters(database);
  if (parameters === null) throw new BehalfError('key_unusable', { why: 'the store has no key parameters' });
  return openVault(readPassphrase(passphraseFile), parameters);
}

function statementKey(database: DatabaseSync, vault: Vault, name: 'bundle' | 'live-state'): StatementKey {
  const key = readKey(database, vault, name);
  return { key, kid: namedJwk(key).kid };
}

function ownIssuance({ spiffeId, serialHex, notAfterS, witJti }: IssuedSvid): EventBody {
  const serial = Buffer.from(serialHex, 'hex');
  const issuance = {
    spiffeId,
    serial,
    attestor: 'self',
    selectors: [],
    notAfterS,
    witJti,
    operation: 'attest',
    code: '',
  };
  return { body: 'issuance', issuance };
}
