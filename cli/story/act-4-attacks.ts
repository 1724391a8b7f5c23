/** Act 4: what must not happen. Each attack is really made; what stopped it is read from the record. */
import { DEMO_PROBE } from '../../demo/index.ts';
import { parseSpiffeId, type SpiffeId } from '../../identity/index.ts';
import { count, duration, shortName } from '../draw/words.ts';
import { isRefused, text } from '../hops/hop-view.ts';
import type { ToldRequest } from './act-3-request.ts';
import { hopTo } from './act-3-request.ts';
import { type AttackResult, attackResult } from './attack-result.ts';
import { MALLORY } from './demo-plan.ts';
import { connectMesh, EMPTY_GRPC_MESSAGE, grpcHead } from './intruder/mesh-client.ts';
import { attestWorkload, createHops } from './intruder/workload.ts';
import { type MeasuredRevocation, measureRevocation } from './revocation.ts';
import { callShop } from './shop-client.ts';
import { eventsOfKind, hopById, hopOnRecord, nowUs, type Stage, untilRecorded } from './stage.ts';

export interface ToldAttacks {
  readonly attacks: readonly AttackResult[];
  /** Null where no refusal was seen. */
  readonly revocationMs: number | null;
}

export interface ActFour {
  readonly accessToken: string;
  readonly consentId: string;
  readonly told: ToldRequest;
}

export async function tellAttacks(stage: Stage, given: ActFour): Promise<ToldAttacks> {
  const { tell, demo, service } = stage;
  const { accessToken, told } = given;
  const entry = service('storefront').entry!;
  const payments = service('payments').id;
  const inventory = service('inventory').id;
  const attacks: AttackResult[] = [];
  const judge = (what: string, expected: string, result: AttackResult): void => {
    attacks.push(result);
    const by = result.refusedBy === null ? 'nobody' : `the sidecar of ${shortName(result.refusedBy)}`;
    tell.check(result.code === expected, `${what}: ${result.code ?? 'no refusal on record'}, refused by ${by}`);
  };
  tell.act(4, 'What must not happen');

  let sinceUs = nowUs();
  await callShop(entry, accessToken, 'POST', '/attacks/inventory', { orderId: told.orderId });
  judge(
    'inventory, which may reach payments, tries to charge',
    'policy_denied',
    await refusedCall(stage, 'inventory-charges', sinceUs, inventory, payments),
  );

  if (demo.guard.on) {
    sinceUs = nowUs();
    const address = new URL(service('orders').peers['payments']!).host;
    await callShop(entry, accessToken, 'POST', '/attacks/inventory', { orderId: told.orderId, address });
    judge(
      'it tries through the local port of orders’ sidecar',
      'local_peer_refused',
      await refusedLocally(stage, sinceUs, service('orders').id),
    );
  }

  judge(
    'a chain captured from orders is sent by another workload of the mesh',
    'delegation_holder_mismatch',
    await replayChain(stage, told),
  );

  sinceUs = nowUs();
  await callShop(entry, accessToken, 'POST', '/refunds', { orderId: told.orderId });
  judge(
    'a refund, which the user never granted',
    'insufficient_scope',
    await refusedCall(stage, 'scope-not-granted', sinceUs, service('orders').id, payments),
  );

  const revocation = await measureRevocation(stage, given, parseSpiffeId(DEMO_PROBE.id));
  tell.prose(
    '',
    'The user withdraws the consent, while a test workload calls payments every 5 ms with a chain that it may use.',
  );
  judge('a call after the withdrawal', 'consent_withdrawn', revocation.result);
  tell.prose(...tellSpeed(revocation));
  return { attacks, revocationMs: revocation.ms };
}

function tellSpeed({ ms, sinceAskedMs, answered }: MeasuredRevocation): string[] {
  if (ms === null || sinceAskedMs === null) return [];
  const before = `${count(answered, 'call')} had been answered before`;
  if (ms > 0)
    return [`From the withdrawal’s answer to the first refusal at payments: ${duration(ms * 1000)}; ${before}.`];
  return [
    `Payments refused ${duration(sinceAskedMs * 1000)} after the withdrawal was asked for, before the user even had the answer; ${before}.`,
  ];
}

/** The refused call from one to the other since then. */
async function refusedCall(
  stage: Stage,
  name: string,
  sinceUs: number,
  from: SpiffeId,
  to: SpiffeId,
): Promise<AttackResult> {
  const view = await hopOnRecord(
    stage,
    sinceUs,
    (hop) => hop.main.hop.caller === from && hop.main.hop.callee === to && isRefused(hop),
  );
  return attackResult(name, view);
}

/** What the uid guard turned away has sent nothing yet: it is on record as a connection, or as a call of nobody. */
async function refusedLocally(stage: Stage, sinceUs: number, by: SpiffeId): Promise<AttackResult> {
  const name = 'inventory-through-orders-port';
  const found = await untilRecorded(async () => {
    const events = await eventsOfKind(stage, 'connection_refused', 'connectionRefused', sinceUs);
    return (
      events.find(
        ({ connectionRefused, logged }) => connectionRefused.code === 'local_peer_refused' && logged.reporter === by,
      ) ?? null
    );
  });
  return { name, code: found?.connectionRefused.code ?? null, refusedBy: found?.logged.reporter ?? null, hop: null };
}

/** Takes the chain of the told request's last hop from the record and presents it with an SVID of another workload. */
async function replayChain(stage: Stage, { request }: ToldRequest): Promise<AttackResult> {
  const { service, query } = stage;
  const payments = service('payments');
  const captured = hopTo(request, payments.id)!;
  const { chain } = await query.getChain({ hopId: Buffer.from(captured.id, 'base64url') });
  const mallory = await attestWorkload(stage, 'mallory', MALLORY);
  const { header, hopId } = createHops()();
  try {
    const client = await connectMesh(payments.mesh, mallory);
    await client.call(
      grpcHead('/shop.payments.v1.Payments/EchoUser', {
        'txn-token': chain?.txnToken ?? '',
        'delegation-chain': chain?.delegationChain ?? '',
        'delegation-credentials': chain?.delegationCredentials ?? '',
        'delegation-hop': header,
      }),
      EMPTY_GRPC_MESSAGE,
    );
    client.close();
    const view = await hopById(stage, hopId);
    return view === null
      ? { name: 'captured-chain', code: null, refusedBy: null, hop: text(hopId) }
      : attackResult('captured-chain', view);
  } finally {
    await mallory.close();
  }
}
