/**
 * How soon a withdrawal counts, measured: a permitted workload calls payments' mTLS port every 5 ms with a chain that it may
 * use, while the user withdraws the consent. The refusal is taken from payments' own report of it.
 */
import type { SpiffeId } from '../../identity/index.ts';
import { type AttackResult, attackResult } from './attack-result.ts';
import { connectMesh, EMPTY_GRPC_MESSAGE, grpcHead, type MeshClient } from './intruder/mesh-client.ts';
import { attestWorkload, chainHeaders, createHops, exchangeToken } from './intruder/workload.ts';
import { hopById, nowUs, type Stage } from './stage.ts';

const POLL_MS = 5;
/** Calls that must have been answered before the withdrawal, so that the chain is known to be good. */
const ANSWERED_FIRST = 20;
const MAX_WAIT_MS = 5_000;

export interface MeasuredRevocation {
  readonly result: AttackResult;
  /** From the withdrawal's answer to the first refusal by the record's clock; 0 where the refusal came first. Null: none was seen. */
  readonly ms: number | null;
  /** The same from the moment at which the withdrawal was asked for. */
  readonly sinceAskedMs: number | null;
  readonly answered: number;
}

export async function measureRevocation(
  stage: Stage,
  { accessToken, consentId }: { readonly accessToken: string; readonly consentId: string },
  probeId: SpiffeId,
): Promise<MeasuredRevocation> {
  const payments = stage.service('payments');
  const probe = await attestWorkload(stage, 'probe', probeId);
  const client = await connectMesh(payments.mesh, probe);
  try {
    const root = await exchangeToken(stage, probe, accessToken, 'payments:charge');
    const poll = startPoll(client, chainHeaders(probe, root, payments.id));
    await poll.until(({ answered }) => answered >= ANSWERED_FIRST);
    const askedAtUs = nowUs();
    await stage.consents.revokeConsent({ id: consentId, reason: 'the user changed their mind' });
    const answeredAtUs = nowUs();
    await poll.until(({ refusedHop }) => refusedHop !== null);
    const { refusedHop, answered } = await poll.stop();
    const view = refusedHop === null ? null : await hopById(stage, refusedHop);
    const passed = (sinceUs: number): number | null =>
      view === null ? null : Math.max(0, Math.round((view.main.timeUs - sinceUs) / 100) / 10);
    return {
      result: attackResult('after-withdrawal', view),
      ms: passed(answeredAtUs),
      sinceAskedMs: passed(askedAtUs),
      answered,
    };
  } finally {
    client.close();
    await probe.close();
  }
}

interface PollState {
  answered: number;
  /** Hop id of the first call that was refused. */
  refusedHop: Buffer | null;
}

/** Calls on one connection, a new call every 5 ms whether or not the last was answered, until the first refusal. */
function startPoll(client: MeshClient, chain: Record<string, string>) {
  const state: PollState = { answered: 0, refusedHop: null };
  const nextHop = createHops();
  const running = new Set<Promise<void>>();
  const timer = setInterval(() => {
    if (state.refusedHop !== null) return clearInterval(timer);
    const { header, hopId } = nextHop();
    const call = client
      .call(grpcHead('/shop.payments.v1.Payments/EchoUser', { ...chain, 'delegation-hop': header }), EMPTY_GRPC_MESSAGE)
      .then(
        ({ code, grpcStatus }) => {
          if (code !== null) state.refusedHop ??= hopId;
          else if (grpcStatus === 0) state.answered++;
        },
        () => {}, // a call that broke off is neither
      );
    running.add(call);
    void call.finally(() => running.delete(call));
  }, POLL_MS);
  return {
    until: async (enough: (state: PollState) => boolean): Promise<void> => {
      const deadline = performance.now() + MAX_WAIT_MS;
      while (!enough(state) && performance.now() < deadline)
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    },
    stop: async (): Promise<PollState> => {
      clearInterval(timer);
      await Promise.all(running);
      return state;
    },
  };
}
