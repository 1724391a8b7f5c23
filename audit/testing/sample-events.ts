/** Plain events for tests: a whole hop whose members a test overrides. */
import { randomBytes } from 'node:crypto';
import type { ChainBody, EventBody, Hop, Personal } from '../../proto/behalf/audit/v1/audit.ts';
import { chainIdOf } from '../event/index.ts';

const NONE = Buffer.alloc(0);
export const ORDERS = 'spiffe://shop.example/ns/demo/sa/orders';
export const PAYMENTS = 'spiffe://shop.example/ns/demo/sa/payments';

export function samplePersonal(overrides: Partial<Personal> = {}): Personal {
  return {
    salt: randomBytes(16),
    subject: 'u:AAECAwQFBgcICQoLDA0ODw',
    clientId: 'shop-app',
    consentId: 'consent-1',
    consentVersion: 1,
    grant: 'grant-1',
    purpose: 'place an order',
    ...overrides,
  };
}

export function sampleHop(overrides: Partial<Hop> = {}): EventBody & { readonly body: 'hop' } {
  return {
    body: 'hop',
    hop: {
      hopId: randomBytes(12),
      parentHopId: randomBytes(12),
      requestId: randomBytes(12),
      side: 'SIDE_CALLER',
      caller: ORDERS,
      callee: PAYMENTS,
      ownSerial: randomBytes(16),
      peerSerial: randomBytes(16),
      method: 'POST',
      route: '/charges/{id}',
      protocol: 'http/1.1',
      outcome: 'OUTCOME_FORWARDED',
      code: '',
      refusedBy: '',
      policies: ['orders-may-charge'],
      snapshotNumber: 3,
      authorityEntry: 17,
      caEntry: 2,
      httpStatus: 200,
      grpcStatusPlusOne: 0,
      durationUs: 1_234,
      goesOn: false,
      chainId: NONE,
      txn: 'q83vEjRWeJq83vEjRWeJqw',
      depth: 2,
      scope: 'orders:write payments:charge',
      carrier: 'context',
      personal: samplePersonal(),
      skewMs: 0,
      peerAddress: '',
      actors: [ORDERS],
      traceId: NONE,
      outsideTraceId: NONE,
      exit: '',
      audience: '',
      tokenJti: '',
      ...overrides,
    },
  };
}

export function sampleEnd(hop: Hop): EventBody & { readonly body: 'hopEnd' } {
  return {
    body: 'hopEnd',
    hopEnd: {
      hopId: hop.hopId,
      side: hop.side,
      outcome: 'OUTCOME_FORWARDED',
      code: '',
      bytesIn: 10,
      bytesOut: 20,
      durationUs: 5_000,
      grpcStatusPlusOne: 0,
      requestId: hop.requestId,
    },
  };
}

export function sampleChain(mark = randomBytes(8).toString('hex')): ChainBody {
  const body = {
    txnToken: `root.${mark}.sig`,
    delegationChain: `link1.${mark}.sig, link2.${mark}.sig`,
    delegationCredentials: `wit1.${mark}.sig, wit2.${mark}.sig`,
  };
  return { chainId: chainIdOf(body), ...body };
}
