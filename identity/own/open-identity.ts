/**
 * The life of a process's own identity (DESIGN section 3): attest or take up what is stored, renew at half of the life with
 * jitter and back-off, follow the CA's bundle stream. An identity that cannot be renewed serves until it ends and says so.
 */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { BehalfError, codeOf, type ErrorCode } from '../../errors/index.ts';
import { type CertificateAuthority, certificateAuthority } from '../../proto/behalf/ca/v1/ca.ts';
import { type MeshBundle, parseMeshBundle, verifyMeshBundle } from '../bundle/index.ts';
import { CERTIFICATE_BACKDATE_S, type Clock, systemClock } from '../clock.ts';
import { connectService, errorOfCall, type ServiceClient } from '../mtls/index.ts';
import { partId, trustDomainOf } from '../spiffe-id.ts';
import { parseWit } from '../wit/index.ts';
import { createBackOff, waitFor } from './back-off.ts';
import type { TrustConfig } from './config.ts';
import { openDataDirectory, readStoredIdentity, type StoredIdentity, storeIdentity } from './identity-store.ts';
import { assembleIdentity } from './issued-identity.ts';
import type { IssuedIdentity, OwnIdentity } from './own-identity.ts';
import { attest, makeKeys, type Obtained, renew } from './request-issuance.ts';

export interface OpenIdentityOptions {
  readonly trust: TrustConfig;
  readonly dataDir: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  /** 0 to 1; for the jitter of renewals. */
  readonly random?: () => number;
}

/** Renewal comes at this part of the life, give or take `JITTER` of the life. */
const RENEW_AT = 0.5;
const JITTER = 0.1;
/** The wall clock is looked at this often, so that a machine that slept renews when it wakes. */
const LOOK_EVERY_MS = 30_000;
const RETRY = { firstMs: 500, maxMs: 30_000 };
const STREAM_RETRY = { firstMs: 100, maxMs: 5_000 };
/** With less life left than this, a stored identity is not taken up again. */
const MIN_STORED_LIFE_S = 2;
/** Refusals that no repetition mends; anything else may be an outage. */
const FINAL: readonly ErrorCode[] = [
  'attestation_failed',
  // A banned workload, or an identity that was taken back: an operator decides when there is another.
  'peer_revoked',
  'entry_not_found',
  'csr_invalid',
  'svid_invalid',
  'wit_invalid',
  'key_unusable',
  'statement_untrusted',
  'bundle_invalid',
  'data_directory_unusable',
  'policy_denied',
  'request_malformed',
];

/**
 * Gives the identity once there is one. An unreachable CA is waited for until `signal` aborts.
 * @throws {BehalfError} `bundle_invalid`, `data_directory_unusable`, `attestation_failed`, `entry_not_found` and other final
 *   refusals of the CA; `trust_unavailable` if aborted
 */
export async function openIdentity(options: OpenIdentityOptions): Promise<OwnIdentity> {
  const { trust, dataDir, log, signal } = options;
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  openDataDirectory(dataDir);
  const stored = readStoredIdentity(dataDir);
  const trusted = newestTrusted(readBundleFile(trust.bundleFile), stored);
  const first =
    takeUpStored(options, clock, stored, trusted) ?? (await attestUntilDone(options, clock, random, trusted));
  storeIdentity(dataDir, first.identity, first.bundle);

  const stop = new AbortController();
  const ended = AbortSignal.any([signal, stop.signal]);
  const listeners = new Set<(what: 'identity' | 'bundle') => void>();
  const doubt = createDoubt();
  let { identity: current, bundle } = first;

  const take = (obtained: Partial<Obtained>): void => {
    const { identity: newIdentity, bundle: newBundle } = obtained;
    const bundleChanged = newBundle !== undefined && newBundle.sequence > bundle.sequence;
    if (bundleChanged) bundle = newBundle;
    if (newIdentity !== undefined) current = newIdentity;
    if (newIdentity === undefined && !bundleChanged) return;
    // If we stop before this is stored, the old identity stands, or the next start attests: nothing is lost but a serial.
    storeIdentity(dataDir, current, bundle);
    if (bundleChanged) tell(listeners, 'bundle', log);
    // What a key signed that the mesh no longer has, no peer takes.
    if (bundleChanged && !bundle.witKeys.has(parseWit(current.wit).kid)) doubt.raise('its WIT’s key is gone');
    if (newIdentity !== undefined) tell(listeners, 'identity', log);
  };
  const own: OwnIdentity = {
    spiffeId: current.spiffeId,
    trustDomain: trustDomainOf(current.spiffeId),
    current: () => current,
    bundle: () => bundle,
    onChange: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    close: async () => {
      stop.abort();
      client.close();
      await Promise.all([renewing, following]);
    },
  };
  const client = connectService(certificateAuthority, {
    address: trust.caAddress,
    identity: own,
    expect: partId(own.trustDomain, 'ca'),
    log,
    clock,
  });
  const parts: Running = { options, own, client, take, doubt, ended, clock, random };
  const renewing = keepRenewing(parts);
  const following = followBundles(parts);
  return own;
}

interface Running {
  readonly options: OpenIdentityOptions;
  readonly own: OwnIdentity;
  readonly client: ServiceClient<CertificateAuthority>;
  readonly take: (obtained: Partial<Obtained>) => void;
  readonly doubt: Doubt;
  readonly ended: AbortSignal;
  readonly clock: Clock;
  readonly random: () => number;
}

/** That the current identity may be good for nothing, so that it is replaced now and not at half of its life. */
interface Doubt {
  raise(why: string): void;
  /** Takes what was raised since; null for nothing. */
  take(): string | null;
  /** Waits for that long, or until doubt is raised. */
  wait(ms: number, ended: AbortSignal): Promise<void>;
}

function createDoubt(): Doubt {
  let why: string | null = null;
  let raised = new AbortController();
  return {
    raise(because) {
      why = because;
      raised.abort();
    },
    take() {
      const taken = why;
      why = null;
      raised = new AbortController();
      return taken;
    },
    wait: (ms, ended) => waitFor(ms, AbortSignal.any([ended, raised.signal])),
  };
}

/** When to renew an identity, seconds since the epoch. Its life counts from its issue, not from its backdated begin. */
export function renewalTime(identity: Pick<IssuedIdentity, 'notBeforeS' | 'notAfterS'>, random: () => number): number {
  const issuedS = identity.notBeforeS + CERTIFICATE_BACKDATE_S;
  const lifeS = Math.max(0, identity.notAfterS - issuedS);
  return issuedS + lifeS * (RENEW_AT + (random() * 2 - 1) * JITTER);
}

async function keepRenewing({ options, own, client, take, doubt, ended, clock, random }: Running): Promise<void> {
  const { log } = options;
  const backOff = createBackOff({ ...RETRY, random });
  let dueS = renewalTime(own.current(), random);
  while (!ended.aborted) {
    const waitMs = (dueS - clock()) * 1000;
    const doubted = doubt.take();
    if (doubted !== null) log.warn({ serial: own.current().serialHex, why: doubted }, 'identity is replaced early');
    if (waitMs > 0 && doubted === null) {
      await doubt.wait(Math.min(waitMs, LOOK_EVERY_MS), ended);
      continue;
    }
    // Until there is another one, every look at the clock is a try.
    dueS = Math.min(dueS, clock());
    try {
      const obtained = await replacement({ options, own, client, clock });
      if (obtained.identity.spiffeId !== own.spiffeId) throw new BehalfError('svid_invalid', { rule: 'spiffe_id' });
      take(obtained);
      backOff.reset();
      dueS = renewalTime(own.current(), random);
      log.info({ serial: own.current().serialHex, notAfterS: own.current().notAfterS }, 'identity renewed');
    } catch (error) {
      if (ended.aborted) return;
      const leftS = own.current().notAfterS - clock();
      const level = leftS > 0 ? 'warn' : 'error';
      log[level]({ code: codeOf(error), err: error, leftS: Math.round(leftS) }, 'identity not renewed');
      // Never wait past a tenth of what is left, so that a short life has its tries too.
      const mostMs = leftS > 0 ? Math.max(RETRY.firstMs, leftS * 100) : RETRY.maxMs;
      await waitFor(Math.min(backOff.next(), mostMs), ended);
    }
  }
}

/**
 * By the certificate that we have; where that has ended, or was revoked, by a new attestation: of a join token that an operator
 * put in the place of the used one, or as this machine's process. A banned workload gets nothing either way.
 */
async function replacement({
  options: { trust, log },
  own,
  client,
  clock,
}: Pick<Running, 'options' | 'own' | 'client' | 'clock'>): Promise<Obtained> {
  const anew = (): Promise<Obtained> => attest(trust, own.bundle(), makeKeys(), { log, clock });
  // An ended certificate opens no connection.
  if (!(own.current().notAfterS > clock())) return anew();
  try {
    return await renew(client, own, trust.ttlS, clock);
  } catch (error) {
    if (codeOf(error) !== 'peer_revoked') throw error;
    log.warn({ serial: own.current().serialHex }, 'identity was revoked: attesting anew');
    return anew();
  }
}

async function followBundles({ options, own, client, take, doubt, ended, random }: Running): Promise<void> {
  const { log } = options;
  const backOff = createBackOff({ ...STREAM_RETRY, random });
  while (!ended.aborted) {
    try {
      const stream = client.bundles({ usingSequence: own.bundle().sequence });
      const cancel = (): void => stream.cancel();
      ended.addEventListener('abort', cancel);
      try {
        for await (const { bundle } of stream as AsyncIterable<{
          bundle: Parameters<typeof verifyMeshBundle>[0] | null;
        }>) {
          if (bundle === null) continue;
          take({ bundle: verifyMeshBundle(bundle, own.bundle()) });
          backOff.reset();
        }
      } finally {
        ended.removeEventListener('abort', cancel);
        stream.cancel();
      }
    } catch (error) {
      if (ended.aborted) return;
      const refusal = errorOfCall(error);
      if (refusal.code === 'peer_revoked') doubt.raise('the certificate authority revoked it');
      const level = refusal.code === 'upstream_unavailable' ? 'debug' : 'warn';
      log[level]({ code: refusal.code, err: refusal }, 'bundle stream ended');
    }
    await waitFor(backOff.next(), ended);
  }
}

/** The bundle to begin with. An identity that has ended leaves its bundle: roots and keys that were taken out stay out. */
function newestTrusted(fromFile: MeshBundle, stored: StoredIdentity | null): MeshBundle {
  if (stored === null || !sameAuthority(stored.bundle, fromFile)) return fromFile;
  return stored.bundle.sequence > fromFile.sequence ? stored.bundle : fromFile;
}

/** A stored identity that is still good under the bundle that we begin with. */
function takeUpStored(
  { log }: OpenIdentityOptions,
  clock: Clock,
  stored: StoredIdentity | null,
  bundle: MeshBundle,
): Obtained | null {
  if (stored === null || stored.issuance === null) return null;
  try {
    const identity = assembleIdentity(stored.issuance, bundle, clock() + MIN_STORED_LIFE_S);
    log.info({ spiffeId: identity.spiffeId, serial: identity.serialHex }, 'stored identity taken up');
    return { identity, bundle };
  } catch (error) {
    log.info({ code: codeOf(error), err: error }, 'stored identity is not usable');
    return null;
  }
}

/** The operator's file decides whom we trust: what is stored counts only if it goes on from it. */
function sameAuthority(stored: MeshBundle, fromFile: MeshBundle): boolean {
  return (
    stored.trustDomain === fromFile.trustDomain &&
    fromFile.bundleKeys.some(({ kid, key }) => stored.bundleKeys.some((old) => old.kid === kid && old.key.equals(key)))
  );
}

async function attestUntilDone(
  { trust, log, signal }: OpenIdentityOptions,
  clock: Clock,
  random: () => number,
  bundle: MeshBundle,
): Promise<Obtained> {
  const backOff = createBackOff({ ...STREAM_RETRY, random });
  const keys = makeKeys();
  while (!signal.aborted) {
    try {
      const obtained = await attest(trust, bundle, keys, { log, clock });
      log.info({ spiffeId: obtained.identity.spiffeId, serial: obtained.identity.serialHex }, 'attested');
      return obtained;
    } catch (error) {
      if (FINAL.includes(codeOf(error))) throw error;
      log.warn({ code: codeOf(error), err: error }, 'not attested yet');
      await waitFor(backOff.next(), signal);
    }
  }
  throw new BehalfError('trust_unavailable', { why: 'stopped before there was an identity' });
}

function readBundleFile(file: string): MeshBundle {
  try {
    return parseMeshBundle(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    if (cause instanceof BehalfError) throw cause;
    throw new BehalfError('bundle_invalid', { at: file, why: 'cannot be read as JSON' }, { cause });
  }
}

function tell(
  listeners: ReadonlySet<(what: 'identity' | 'bundle') => void>,
  what: 'identity' | 'bundle',
  log: Logger,
): void {
  for (const listener of listeners) {
    try {
      listener(what);
    } catch (error) {
      log.error({ err: error, what }, 'a listener for identity changes failed');
    }
  }
}
