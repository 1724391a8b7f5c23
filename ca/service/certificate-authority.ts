/** The gRPC service `CertificateAuthority`: attestation, renewal, the bundle stream, and keys that parts publish. */
import type { ServerWritableStream } from '@grpc/grpc-js';
import { BehalfError } from '../../errors/index.ts';
import type { TrustDomain } from '../../identity/index.ts';
import { createCrowd, type Implementation, STREAM_LIMITS } from '../../identity/mtls/index.ts';
import type { BundlesRequest, BundlesResponse, CertificateAuthority } from '../../proto/behalf/ca/v1/ca.ts';
import type { Sent } from '../../proto/service.ts';
import { attestRenewal, attestUnixPeer, isKnownToken, redeemJoinToken } from '../attest/index.ts';
import type { MeshDocument } from '../bundle/mesh-document.ts';
import { changesOf, mergeKeys, ownerOfKeys, parsePublishedKeys } from '../bundle/published-keys.ts';
import { listEntries } from '../entries/entries.ts';
import { requireStanding } from '../revoke/revocations.ts';
import { type IssuanceDeps, runIssuance } from './issuance.ts';
import { createFailureLimits } from './limit-failures.ts';

export interface CertificateAuthorityDeps extends IssuanceDeps {
  readonly trustDomain: TrustDomain;
  readonly ownerUid: number;
  /** Tells that something was revoked; returns its own undoing. */
  readonly onRevoked: (listener: () => void) => () => void;
}

const MAX_FOLLOWERS = 10_000;

/** Makes the service's handlers. */
export function serveCertificateAuthority(deps: CertificateAuthorityDeps): Implementation<CertificateAuthority> {
  const { database, document, clock, trustDomain, ownerUid, trail, onRevoked } = deps;
  const failuresOf = createFailureLimits(clock);
  const following = createCrowd(STREAM_LIMITS);
  let followers = 0;
  return {
    attest: async (request, caller) => {
      const failures = failuresOf(caller);
      if (!isKnownToken(database, request.joinToken ?? '', clock())) failures.check();
      const attestor = request.attestation === 'unixPeer' ? 'unix_peer' : 'join_token';
      try {
        return await runIssuance(deps, 'attest', attestor, request, ({ publicKey }) => {
          switch (request.attestation) {
            case 'joinToken':
              return redeemJoinToken(database, request.joinToken ?? '', publicKey, clock());
            case 'unixPeer':
              return attestUnixPeer(caller.unix, { trustDomain, ownerUid, entries: listEntries(database) });
            default:
              throw new BehalfError('attestation_failed', { why: 'no attestation that this authority knows' });
          }
        });
      } catch (error) {
        failures.failed();
        throw error;
      }
    },
    renew: (request, caller) =>
      runIssuance(deps, 'renew', 'svid', request, () => attestRenewal(database, caller, clock())),
    bundles: (_request, stream, caller) => {
      // Who was revoked hears of it here, where it asks first, and while it follows.
      if (caller.id !== null) requireStanding(database, caller);
      if (followers >= MAX_FOLLOWERS) throw new BehalfError('overloaded', { what: 'followers of the bundle' });
      const leave = following.enter(caller);
      followers += 1;
      return new Promise((resolve, reject) => {
        const stopListening = onRevoked(() => {
          try {
            if (caller.id !== null) requireStanding(database, caller);
          } catch (error) {
            reject(error);
          }
        });
        followDocument(stream, document, () => {
          stopListening();
          followers -= 1;
          leave();
          resolve();
        });
      });
    },
    publishKeys: async ({ keysJson }, caller) => {
      const by = requireStanding(database, caller);
      const owner = ownerOfKeys(by, trustDomain);
      const keys = parsePublishedKeys(keysJson, owner);
      const before = document.bundle().document.behalf;
      const merged = mergeKeys(before, keys);
      // Judged before anything of it is written down: what a caller makes up is not for the record.
      document.check(merged);
      const changes = changesOf(before, merged);
      // On record before it can be used; if publishing then fails, the record shows an attempt.
      for (const change of changes) await trail.record({ body: 'key', key: change });
      return { sequence: document.publish((behalf) => mergeKeys(behalf, keys)) };
    },
  };
}

/** Sends the document now and whenever it changes. A slow follower gets the newest only: one document waits at most. */
function followDocument(
  stream: ServerWritableStream<BundlesRequest, Sent<BundlesResponse>>,
  document: MeshDocument,
  onEnd: () => void,
): void {
  let isBlocked = false;
  let isBehind = false;
  const send = (): void => {
    if (isBlocked) {
      isBehind = true;
      return;
    }
    isBehind = false;
    isBlocked = !stream.write({ bundle: document.statement() });
  };
  stream.on('drain', () => {
    isBlocked = false;
    if (isBehind) send();
  });
  const unfollow = document.onChange(send);
  let isEnded = false;
  const end = (): void => {
    if (isEnded) return;
    isEnded = true;
    unfollow();
    onEnd();
  };
  stream.on('cancelled', end);
  stream.on('close', end);
  stream.on('error', end);
  send();
}
