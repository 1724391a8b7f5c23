/** The authority's own identity: issued by itself, in process, and renewed like everyone's. */
import { generateKeyPairSync } from 'node:crypto';
import type { Logger } from 'pino';
import { codeOf } from '../errors/index.ts';
import { type Clock, partId, type TrustDomain } from '../identity/index.ts';
import {
  assembleIdentity,
  type IssuedIdentity,
  type OwnIdentity,
  renewalTime,
  waitFor,
} from '../identity/own/index.ts';
import type { MeshDocument } from './bundle/mesh-document.ts';
import type { IssuedSvid, Issuer } from './issue/issuer.ts';

export interface OwnIdentityDeps {
  readonly trustDomain: TrustDomain;
  readonly issuer: Issuer;
  readonly document: MeshDocument;
  readonly ttlS: number;
  /** Books each issuance and, once there is a trail, puts it on record. */
  readonly onIssued: (svid: IssuedSvid) => Promise<void>;
  readonly log: Logger;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const RETRY_MS = 5_000;
/** The wall clock is looked at this often, so that a machine that slept renews when it wakes. */
const LOOK_EVERY_MS = 30_000;

/** Issues the first one and keeps renewing until `signal` aborts or `close`. */
export async function openOwnIdentity(deps: OwnIdentityDeps): Promise<OwnIdentity> {
  const { trustDomain, document, log, clock } = deps;
  const stop = new AbortController();
  const ended = AbortSignal.any([deps.signal, stop.signal]);
  const listeners = new Set<(what: 'identity' | 'bundle') => void>();
  let current = await issueOwn(deps);
  const unfollow = document.onChange(() => {
    for (const listener of listeners) listener('bundle');
  });

  const keepRenewing = async (): Promise<void> => {
    let dueS = renewalTime(current, Math.random);
    while (!ended.aborted) {
      const waitMs = (dueS - clock()) * 1000;
      if (waitMs > 0) {
        await waitFor(Math.min(waitMs, LOOK_EVERY_MS), ended);
        continue;
      }
      try {
        current = await issueOwn(deps);
        dueS = renewalTime(current, Math.random);
        for (const listener of listeners) listener('identity');
      } catch (error) {
        log.error({ code: codeOf(error), err: error, notAfterS: current.notAfterS }, 'own identity not renewed');
        await waitFor(RETRY_MS, ended);
      }
    }
  };
  const renewing = keepRenewing();

  return {
    spiffeId: partId(trustDomain, 'ca'),
    trustDomain,
    current: () => current,
    bundle: () => document.bundle(),
    onChange: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    close: async () => {
      stop.abort();
      unfollow();
      await renewing;
    },
  };
}

async function issueOwn({
  trustDomain,
  issuer,
  document,
  ttlS,
  onIssued,
  clock,
}: OwnIdentityDeps): Promise<IssuedIdentity> {
  const pair = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const tls = pair();
  const link = pair();
  const svid = await issuer.issue({
    spiffeId: partId(trustDomain, 'ca'),
    publicKey: tls.publicKey,
    linkKey: link.publicKey,
    ttlS,
  });
  await onIssued(svid);
  const { chain, wit } = svid;
  return assembleIdentity(
    { chain, wit, privateKey: tls.privateKey, witKey: link.privateKey },
    document.bundle(),
    clock(),
  );
}
