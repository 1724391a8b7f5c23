/** Act 3: the user's request crosses three services, and the last one asks about the one order. */
import { count } from '../draw/words.ts';
import { drawRequest } from '../hops/draw-hops.ts';
import { type HopView, isRefused, type RequestView } from '../hops/hop-view.ts';
import { consentOf } from './act-2-consent.ts';
import { callShop, type ShopAnswer } from './shop-client.ts';
import { eventsOfKind, nowUs, requestOnRecord, type Stage, untilRecorded } from './stage.ts';

export interface ToldRequest {
  readonly request: RequestView;
  /** The demo user's own order, paid. */
  readonly orderId: string;
}

export async function tellRequest(stage: Stage, accessToken: string): Promise<ToldRequest> {
  const { tell, demo, service } = stage;
  const entry = service('storefront').entry!;
  tell.act(3, 'Their request crosses three services');
  const placed = await callShop(entry, accessToken, 'POST', '/orders', { item: 'lamp', amount: 4900 });
  const orderId = String(placed.body['id'] ?? '');
  tell.check(placed.status === 201, `the user orders a lamp: order ${orderId}`);

  const sinceUs = nowUs();
  const paid = await callShop(entry, accessToken, 'POST', '/checkout', { orderId });
  tell.check(paid.status === 200, `and pays for it: receipt ${String(paid.body['receipt'] ?? 'none')}`);
  tell.prose(
    '',
    'The services only talk to localhost. This is what their sidecars reported, both sides of each call:',
    '',
  );
  const request = await requestOnRecord(stage, sinceUs, (hops) =>
    hops.some(({ main }) => main.hop.callee === service('payments').id),
  );
  if (request === null) throw new Error('the request is not on record');
  for (const line of drawRequest(request, tell.style, () => 'demo')) tell.line(line);
  tell.line('');
  tell.check(
    !request.hops.some(isRefused),
    `${count(request.hops.length, 'hop')}, each decided by the sidecar of the service called, none with more scope than the one before`,
  );

  const { answer, allowed } = await chargeForAnother(stage, accessToken, demo.users.eve.account);
  tell.check(
    answer.status === 403 && allowed === false,
    `asked to charge this user for eve’s order, payments asked its sidecar about that one order and was told no (${answer.status})`,
  );
  return { request, orderId };
}

/** Another user's order, paid with this user's authority: the routes and scopes are all right, the order is not theirs. */
async function chargeForAnother(
  stage: Stage,
  accessToken: string,
  other: string,
): Promise<{ answer: ShopAnswer; allowed: boolean | null }> {
  const { demo, service } = stage;
  const entry = service('storefront').entry!;
  const eve = await consentOf(stage, { account: other, password: demo.users.eve.password });
  const placed = await callShop(entry, eve.accessToken, 'POST', '/orders', { item: 'chair', amount: 12_900 });
  const sinceUs = nowUs();
  const answer = await callShop(entry, accessToken, 'POST', '/checkout', { orderId: String(placed.body['id'] ?? '') });
  const event = await untilRecorded(
    async () => (await eventsOfKind(stage, 'evaluation', 'evaluation', sinceUs))[0] ?? null,
  );
  return { answer, allowed: event?.evaluation.allow ?? null };
}

/** The call of a request that reached `callee`. */
export function hopTo({ hops }: RequestView, callee: string): HopView | null {
  return hops.find(({ main }) => main.hop.callee === callee) ?? null;
}
