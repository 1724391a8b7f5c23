/**
 * Takes the money. A gRPC service without a key or token in it: whether this user may charge *this* order, it asks its
 * sidecar, and does as it is told.
 *
 *     PORT=3002 DELEGATION_API=http://127.0.0.1:15002 node demo/payments/payments.ts
 */
import { randomUUID } from 'node:crypto';
import grpc, { type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { needed, onEnd } from '../http/router.ts';
import { type ChargeRequest, type EchoedUser, PaymentsClient, type Receipt, type Terms } from './payments-proto.ts';

const DELEGATION_API = needed('DELEGATION_API');
const ASK_TIMEOUT_MS = 5_000;

/** OpenID AuthZEN: may the user on whose behalf this call comes do this to that order? */
async function mayUser(
  action: string,
  { orderId, owner, amount }: ChargeRequest,
  metadata: grpc.Metadata,
): Promise<boolean> {
  const [context] = metadata.get('delegation-context');
  const answer = await fetch(`${DELEGATION_API}/access/v1/evaluation`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'delegation-context': String(context ?? '') },
    body: JSON.stringify({
      action: { name: action },
      resource: { type: 'Order', id: orderId, properties: { owner, amount } },
    }),
    signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
  });
  // A sidecar that cannot tell has not said no; either way no money moves.
  if (answer.status >= 500) throw new Error(`the sidecar answered ${answer.status}`);
  if (!answer.ok) return false;
  const { decision } = (await answer.json()) as { decision?: unknown };
  return decision === true;
}

function takingMoney(action: string) {
  return async ({ request, metadata }: ServerUnaryCall<ChargeRequest, Receipt>, done: sendUnaryData<Receipt>) => {
    try {
      if (await mayUser(action, request, metadata)) return done(null, { receipt: `r-${randomUUID().slice(0, 8)}` });
      return done({ code: grpc.status.PERMISSION_DENIED, details: `this user may not ${action} this order` });
    } catch {
      return done({ code: grpc.status.UNAVAILABLE, details: 'nobody could say whether this is allowed' });
    }
  };
}

const server = new grpc.Server();
server.addService(PaymentsClient.service, {
  Charge: takingMoney('charge'),
  Refund: takingMoney('refund'),
  Terms: (_call: unknown, done: sendUnaryData<Terms>) => done(null, { currencies: ['EUR'], fee: 140 }),
  EchoUser: ({ metadata }: ServerUnaryCall<unknown, EchoedUser>, done: sendUnaryData<EchoedUser>) => {
    const scopes = String(metadata.get('delegation-scopes')[0] ?? '').split(' ');
    done(null, {
      subject: String(metadata.get('delegation-subject')[0] ?? ''),
      scopes: scopes.filter((one) => one !== ''),
    });
  },
});
server.bindAsync(`127.0.0.1:${needed('PORT')}`, grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) {
    console.error(error.message);
    process.exit(1);
  }
  console.log(JSON.stringify({ ready: true, service: 'payments', port }));
});
onEnd(() => server.forceShutdown());
