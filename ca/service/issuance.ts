/**
 * One issuance in its fixed order: read the request, attest, decide the life, issue, book, put on record, answer. A refusal
 * goes on record too. If we stop between booking and the answer, the workload asks again and gets another serial.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { BehalfError, codeOf } from '../../errors/index.ts';
import type { Clock, SpiffeId } from '../../identity/index.ts';
import { parseCsr } from '../../identity/svid/index.ts';
import type { Issuance } from '../../proto/behalf/audit/v1/audit.ts';
import type { Svid } from '../../proto/behalf/ca/v1/ca.ts';
import type { Sent } from '../../proto/service.ts';
import type { Attestation, Attestor } from '../attest/index.ts';
import type { MeshDocument } from '../bundle/mesh-document.ts';
import { LIFE_BOUNDS } from '../config.ts';
import { recordIssued } from '../issue/issued.ts';
import type { IssuedSvid, Issuer } from '../issue/issuer.ts';
import { checkNotBanned, lastRevokedSecond } from '../revoke/revocations.ts';
import type { Trail } from './trail.ts';

export interface IssuanceDeps {
  readonly database: DatabaseSync;
  readonly issuer: Issuer;
  readonly document: MeshDocument;
  readonly trail: Trail;
  readonly log: Logger;
  readonly clock: Clock;
  readonly defaultTtlS: number;
  readonly allowShortLives: boolean;
}

/** The keys that a request is for; public. */
export interface RequestKeys {
  readonly publicKey: KeyObject;
  readonly linkKey: KeyObject;
}

type Operation = 'attest' | 'renew';

const MAX_JWK_LENGTH = 1024;

/**
 * Reads a request's two keys. They must differ: the link key is for links alone.
 * @throws {BehalfError} `csr_invalid`
 */
function parseKeys(csr: Buffer, witPublicJwk: string): RequestKeys {
  const publicKey = parseCsr(csr);
  const linkKey = parseLinkKey(witPublicJwk);
  if (linkKey.equals(publicKey)) throw new BehalfError('csr_invalid', { why: 'both keys are the same' });
  return { publicKey, linkKey };
}

function parseLinkKey(text: string): KeyObject {
  if (text.length > MAX_JWK_LENGTH) throw new BehalfError('csr_invalid', { why: 'the link key is too large' });
  let key: KeyObject;
  try {
    const { kty, crv, x, y, d } = JSON.parse(text) as Record<string, string | undefined>;
    if (d !== undefined) throw new TypeError('holds a private key');
    if (kty !== 'EC' || crv !== 'P-256' || x === undefined || y === undefined) throw new TypeError('not a P-256 key');
    key = createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' });
  } catch (cause) {
    throw new BehalfError('csr_invalid', { why: 'the link key is not a public P-256 JWK' }, { cause });
  }
  return key;
}

/** Life in seconds: asked for, else the entry's, else the default; within what may be issued. */
export function lifeOf(
  askedS: number,
  entryS: number,
  deps: Pick<IssuanceDeps, 'defaultTtlS' | 'allowShortLives'>,
): number {
  const mostS = entryS === 0 ? LIFE_BOUNDS.maxS : entryS;
  const wishS = askedS !== 0 ? askedS : entryS !== 0 ? entryS : deps.defaultTtlS;
  const leastS = deps.allowShortLives ? LIFE_BOUNDS.shortestS : LIFE_BOUNDS.minS;
  return Math.max(leastS, Math.min(wishS, mostS, LIFE_BOUNDS.maxS));
}

/**
 * Issues for whom `attest` finds.
 * @throws {BehalfError} what `attest` throws, `csr_invalid`, `issuer_expired`, `audit_unavailable`
 */
export async function runIssuance(
  deps: IssuanceDeps,
  operation: Operation,
  attestor: Attestor,
  request: { readonly csr: Buffer; readonly witPublicJwk: string; readonly ttlS: number },
  attest: (keys: RequestKeys) => Promise<Attestation> | Attestation,
): Promise<Sent<Svid>> {
  let attestation: Attestation | null = null;
  let svid: IssuedSvid;
  try {
    const keys = parseKeys(request.csr, request.witPublicJwk);
    attestation = await attest(keys);
    checkNotBanned(deps.database, attestation.spiffeId);
    await untilPastRevocation(deps, attestation.spiffeId);
    const ttlS = lifeOf(request.ttlS, attestation.ttlS, deps);
    svid = await deps.issuer.issue({ spiffeId: attestation.spiffeId, ...keys, ttlS });
    recordIssued(deps.database, svid, attestation.entryId);
  } catch (error) {
    await recordRefusal(deps, operation, attestor, attestation, error);
    throw error;
  }
  const { spiffeId, serialHex, notAfterS, witJti } = svid;
  // No audit, no access: what cannot be put on record is not handed out.
  await deps.trail.record({
    body: 'issuance',
    issuance: {
      spiffeId,
      serial: Buffer.from(serialHex, 'hex'),
      attestor: attestation.attestor,
      selectors: attestation.selectors,
      notAfterS,
      witJti,
      operation,
      code: '',
    },
  });
  deps.log.info({ operation, spiffeId, attestor: attestation.attestor, serial: serialHex, notAfterS }, 'issued');
  return { spiffeId, certificateChain: svid.chain, wit: svid.wit, notAfterS, bundle: deps.document.statement() };
}

/**
 * A revocation hits what was issued in its own second too (times are whole seconds). What is issued right after it waits for
 * the next one, so that a clean replacement lives and is not revoked at birth.
 * @throws {BehalfError} `peer_revoked` where our clock was set back to before the revocation
 */
async function untilPastRevocation({ database, clock }: IssuanceDeps, workload: SpiffeId): Promise<void> {
  const waitS = lastRevokedSecond(database, workload) + 1 - clock();
  if (waitS > 1) throw new BehalfError('peer_revoked', { kind: 'workload', workload, aheadS: Math.ceil(waitS) });
  if (waitS > 0) await sleep(waitS * 1000);
}

async function recordRefusal(
  { trail, log }: IssuanceDeps,
  operation: Operation,
  attestor: Attestor,
  attestation: Attestation | null,
  error: unknown,
): Promise<void> {
  const code = codeOf(error);
  const detail = error instanceof BehalfError ? error.detail : {};
  log.warn({ operation, attestor, code, detail }, 'issuance refused');
  const issuance: Issuance = {
    spiffeId: attestation?.spiffeId ?? '',
    serial: Buffer.alloc(0),
    attestor,
    selectors: attestation?.selectors ?? [],
    notAfterS: 0,
    witJti: '',
    operation,
    code,
  };
  // The refusal stands whether or not it could be put on record.
  await trail
    .record({ body: 'issuance', issuance })
    .catch((cause: unknown) => log.error({ err: cause }, 'refusal not on record'));
}
