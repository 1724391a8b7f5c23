/**
 * Transactions by the hundred thousand through the judging half of a sidecar in full mode, as it runs: every one with a root and links of
 * its own, in, on to the next service, recorded and over. Real signatures, caches, contexts, slots, hop windows, spool and delivery;
 * only the sockets of the calls are left out, as a million requests over them would take hours (`pair.ts` does some).
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { openReporter, type Reporter } from '../../../audit/report/index.ts';
import {
  createHopMinter,
  DEFAULT_CLOCK_RULE,
  formatHop,
  HOP_PREFIX_BYTES,
  mintLink,
  mintRoot,
  verifyRoot,
} from '../../../delegation/index.ts';
import type { IssuedIdentity } from '../../../identity/own/own-identity.ts';
import { createRandomPool } from '../../../identity/random-pool.ts';
import type { TestIdentity } from '../../../identity/testing/issuer.ts';
import type { RequestHead } from '../../../sidecar/call/head.ts';
import { fieldOf } from '../../../sidecar/call/head.ts';
import type { CallHooks, Peer, PeerFacts, SendFacts, Verdict } from '../../../sidecar/call/seam.ts';
import { resolveConfig } from '../../../sidecar/config.ts';
import { startFullMode } from '../../../sidecar/full-mode.ts';
import { startTestMesh, type TestMesh } from '../../../sidecar/testing/mesh.ts';
import { shopSnapshot } from '../../../sidecar/testing/shop.ts';
import { newPeerClock } from '../../../sidecar/wire/peer-clock.ts';
import { createReceivedSlots, createSentSlots } from '../../../sidecar/wire/slots.ts';
import { type MemoryInUse, memoryInUse } from './memory-in-use.ts';

/** Under way at once; their events share a write. */
const AT_ONCE = 64;
/** Handles of ended requests linger; measured is what is left without them. */
const HANDLES_GONE_MS = 30_000;
/** After this many the collector's own list is emptied: a test's collector keeps all that it is told. */
const FORGET_EVERY = 4_096;
/** A multiple of `AT_ONCE`. */
const TELL_EVERY = 64_000;
const MAX_SPOOLED_BYTES = 32 * 1024 * 1024;
const RATE_LIMITED_PAUSE_MS = 20;
const ANSWERED = {
  outcome: 'forwarded',
  code: null,
  byPeer: false,
  httpStatus: 200,
  grpcStatus: null,
  goesOn: false,
} as const;

export interface CallsResult {
  readonly transactions: number;
  readonly start: MemoryInUse;
  readonly middle: MemoryInUse;
  readonly end: MemoryInUse;
}

/** Runs that many; measures before, halfway and after. `say` gets progress. @throws where a call is refused */
export async function runCalls(
  { transactions, alongside }: { readonly transactions: number; readonly alongside: () => void },
  say: (line: string) => void,
): Promise<CallsResult> {
  const mesh = await startTestMesh(shopSnapshot());
  const stop = new AbortController();
  const log = pino({ level: 'silent' });
  const orders = await mesh.issuer.issue(mesh.id('orders'));
  const dataDir = join(mesh.folder, 'orders');
  const payments: Peer = { name: 'payments', id: mesh.id('payments'), endpoints: null };
  const reporter = openReporter({
    spoolDir: join(dataDir, 'spool'),
    collectorAddress: mesh.collectorAddress,
    identity: orders,
    log,
    signal: stop.signal,
  });
  const full = startFullMode({
    config: resolveConfig({
      trust: { caAddress: 'unused:1', bundleFile: 'unused', attest: { joinTokenFile: 'unused' } },
      dataDir,
      service: orders.spiffeId,
      collectorAddress: mesh.collectorAddress,
      authorityAddress: mesh.authorityAddress,
    }),
    identity: orders,
    reporter,
    // Only refusals at an entry are counted, and here nobody enters.
    refusedCalls: { admits: () => true },
    peerNamed: () => payments,
    log,
    signal: stop.signal,
  });
  try {
    await full.settled(stop.signal);
    const callers = await openCallers(mesh, full.hooks, orders, payments);
    const measure = async (at: string): Promise<MemoryInUse> => {
      await untilEmpty(() => full.contexts.size() === 0 && isDelivered(reporter));
      forgetRecord(mesh);
      const memory = memoryInUse();
      say(`calls, ${at}: ${JSON.stringify(memory)}`);
      return memory;
    };
    const run = async (times: number): Promise<void> => {
      for (let done = 0; done < times; done += AT_ONCE) {
        await Promise.all(Array.from({ length: Math.min(AT_ONCE, times - done) }, () => callers().then(alongside)));
        // The calls outrun the delivery of their events where one process does all of it: a full spool would refuse them.
        while (reporter.state().spooledBytes > MAX_SPOOLED_BYTES) await sleep(10);
        if (done % FORGET_EVERY === 0) forgetRecord(mesh);
        if (done % TELL_EVERY === 0 && done > 0) say(`calls, ${done} of this half`);
      }
    };
    const half = Math.floor(transactions / 2);
    const start = await measure('start');
    await run(half);
    const middle = await measure(`middle (${half})`);
    await run(transactions - half);
    const end = await measure(`end (${transactions})`);
    return { transactions, start, middle, end };
  } finally {
    await full.close();
    await reporter.close();
    stop.abort();
    await orders.close();
    await mesh.close();
  }
}

/** Gives what runs one transaction of its own: the root, the caller's link, in, on to the next service, answered and over. */
async function openCallers(
  mesh: TestMesh,
  hooks: CallHooks,
  orders: TestIdentity,
  payments: Peer,
): Promise<() => Promise<void>> {
  const storefront = (await mesh.issuer.issue(mesh.id('storefront'))).current();
  const callee = (await mesh.issuer.issue(payments.id)).current();
  const rootKey = { kid: 'drill-root', ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) };
  mesh.issuer.publish({ root_keys: [{ ...rootKey.publicKey.export({ format: 'jwk' }), kid: rootKey.kid }] });
  const random = createRandomPool();
  const hops = createHopMinter(randomBytes(HOP_PREFIX_BYTES));
  const nowS = (): number => Date.now() / 1_000;
  const peer = peerFacts(storefront, orders.current(), nowS);
  const connection = sendFacts(callee, orders.current());

  /** Another user, consent, grant and transaction each time. */
  function newChain(): ReturnType<typeof mintLink> {
    const id = random(16).toString('base64url');
    const iat = Math.floor(nowS());
    const issuer = mesh.issuer.bundle().issuer;
    const audience = `spiffe://${mesh.issuer.trustDomain}/behalf/delegation`;
    const compact = mintRoot(
      {
        iss: issuer,
        aud: audience,
        iat,
        exp: iat + 120,
        txn: random(16).toString('base64url'),
        sub: `u:${id}`,
        scope: 'orders:read payments:charge',
        req_wl: storefront.spiffeId,
        tctx: { client_id: 'shop', consent: { id, version: 1 }, grant: id, purpose: 'drill' },
      },
      { kid: rootKey.kid, key: rootKey.privateKey },
    );
    const parent = verifyRoot(compact, {
      me: storefront.spiffeId,
      nowS: nowS(),
      clock: DEFAULT_CLOCK_RULE,
      trustDomain: mesh.issuer.trustDomain,
      issuer,
      audience,
      rootKey: () => rootKey.publicKey,
      revoked: () => null,
      fresh: () => undefined,
    });
    return mintLink({ parent, to: orders.spiffeId, signer: storefront, nowS: nowS(), jti: random(12) });
  }

  async function judgedInbound(): Promise<Extract<Verdict, { kind: 'forward' }>> {
    const { txnToken, delegationChain, delegationCredentials } = newChain();
    for (;;) {
      const hop = formatHop({ hop: hops.next(), parent: null, request: random(12).toString('base64url') });
      const verdict = await hooks.onInbound(
        headOf('GET', '/orders/17', [
          ...['txn-token', txnToken, 'delegation-chain', delegationChain],
          ...['delegation-credentials', delegationCredentials, 'delegation-hop', hop],
        ]),
        peer,
      );
      if (verdict.kind === 'forward') return verdict;
      if (verdict.kind !== 'refuse' || verdict.error.code !== 'rate_limited') throw errorOf(verdict);
      hooks.onEnd(verdict.call, null);
      await sleep(RATE_LIMITED_PAUSE_MS);
    }
  }

  return async () => {
    const inbound = await judgedInbound();
    hooks.answerFields(inbound.call);
    const handle = fieldOf(inbound.head.headers, 'delegation-context') ?? '';
    const outbound = await hooks.onOutbound(headOf('POST', '/charges', ['delegation-context', handle]), payments);
    if (outbound.kind !== 'forward') throw errorOf(outbound);
    const sent = hooks.onSend(outbound.call, connection);
    if (fieldOf(sent, 'txn-token') === null) throw new Error('a new chain was not sent whole');
    hooks.onPeerAnswer(outbound.call, connection, { status: 200, headers: [] });
    await hooks.onHead(outbound.call, ANSWERED);
    hooks.onEnd(outbound.call, null);
    await hooks.onHead(inbound.call, ANSWERED);
    hooks.onEnd(inbound.call, null);
  };
}

function headOf(method: string, target: string, headers: readonly string[]): RequestHead {
  return { method, target, authority: 'orders', headers, protocol: 'http/1.1' };
}

function errorOf(verdict: Verdict): Error {
  return verdict.kind === 'refuse' ? verdict.error : new Error(`not what was asked: ${verdict.kind}`);
}

function peerFacts(peer: IssuedIdentity, own: IssuedIdentity, nowS: () => number): PeerFacts {
  return {
    spiffeId: peer.spiffeId,
    serialHex: peer.serialHex,
    certificateS256: peer.certificateS256,
    issuedS: peer.notBeforeS + 60,
    notAfterS: peer.notAfterS,
    address: '127.0.0.1:1',
    ownSerialHex: own.serialHex,
    ownCertificateS256: own.certificateS256,
    slots: createReceivedSlots(nowS),
    clock: newPeerClock(),
  };
}

function sendFacts(peer: IssuedIdentity, own: IssuedIdentity): SendFacts {
  return {
    peerSerialHex: peer.serialHex,
    peerCertificateS256: peer.certificateS256,
    peerIssuedS: peer.notBeforeS + 60,
    identity: own,
    slots: createSentSlots(),
    clock: newPeerClock(),
  };
}

function isDelivered(reporter: Reporter): boolean {
  const { recorded, storedThrough } = reporter.state();
  return storedThrough >= recorded;
}

function forgetRecord({ events, chains }: TestMesh): void {
  events.length = 0;
  chains.length = 0;
}

async function untilEmpty(isEmpty: () => boolean): Promise<void> {
  const until = performance.now() + HANDLES_GONE_MS;
  while (!isEmpty()) {
    if (performance.now() > until) throw new Error('handles or events were not gone in time');
    await sleep(100);
  }
}
