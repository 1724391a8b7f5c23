/** Payments with a limit: more than is left, the same money twice, and siblings of a patched sidecar that overspend together. */
import { exchangeToken } from '../../../../cli/story/intruder/workload.ts';
import { sha256Base64url } from '../../../../identity/jws.ts';
import { workload } from '../../../mesh/two-services.ts';
import { bare, extend } from '../attacker/forge.ts';
import type { Scene } from '../attacker/scene.ts';
import { type Attempt, REACHED } from '../attempt.ts';
import { askToDefer } from './deferred.ts';
import { handleAtDesk, tokensOf } from './desk.ts';
import { atLocalPort } from './handles.ts';
import { found, SOON_MS } from './record.ts';

const APP = 'the app of desk, its handle for a request with a limit';
const pay = (amount: string) => [{ type: 'payment', limit: { currency: 'EUR', amount } }];
const asking = (amount: string): string => `Delegation-Details: ${JSON.stringify(pay(amount))}`;

/** The handle of a request that may pay so much. */
async function mayPay(scene: Scene, amount: string): Promise<string> {
  const { accessToken } = await tokensOf(scene, 'ada', { details: pay(amount) });
  return handleAtDesk(scene, accessToken, '/pay/leak');
}

export const detailAttempts: readonly Attempt[] = [
  {
    name: 'app-hands-on-more-than-its-limit',
    has: APP,
    expect: 'delegation_scope_widened',
    off: ['details-share', 'details-subset'],
    run: async (scene) => atLocalPort(scene, 'desk', 'back', [await mayPay(scene, '10.00'), asking('10.01')]),
  },
  {
    name: 'app-hands-on-the-same-money-twice',
    has: APP,
    expect: 'details_exhausted',
    off: ['details-share'],
    async run(scene) {
      const handle = await mayPay(scene, '10.00');
      const first = await atLocalPort(scene, 'desk', 'back', [handle, asking('6.00')]);
      if (first !== REACHED) return `the first: ${first}`;
      return atLocalPort(scene, 'desk', 'back', [handle, asking('6.00')]);
    },
  },
  {
    name: 'app-puts-off-what-it-has-handed-on',
    has: APP,
    expect: 'details_exhausted',
    off: ['details-share'],
    async run(scene) {
      const wishes = { details: pay('10.00'), deferrable: true };
      const handle = await handleAtDesk(scene, (await tokensOf(scene, 'ada', wishes)).accessToken, '/pay/leak');
      const first = await atLocalPort(scene, 'desk', 'back', [handle, asking('6.00')]);
      if (first !== REACHED) return `the first: ${first}`;
      return (await askToDefer(scene, handle, { authorizationDetails: pay('6.00') })).outcome;
    },
  },
  {
    name: 'client-spends-its-grant-twice',
    has: 'a user’s access token with a limit',
    expect: 'details_exhausted',
    off: ['grant-limit'],
    async run(scene) {
      const { accessToken } = await tokensOf(scene, 'ada', { details: pay('10.00') });
      const lines = [`Authorization: Bearer ${accessToken}`, asking('6.00')];
      const first = scene.outcome(await scene.enterDesk('/pay/leak', lines));
      return first === REACHED ? scene.outcome(await scene.enterDesk('/pay/leak', lines)) : `the first: ${first}`;
    },
  },
  {
    name: 'patched-sidecar-signs-more-than-its-limit',
    has: 'probe’s keys, a user’s access token with a limit',
    expect: 'delegation_scope_widened',
    off: ['details-subset'],
    async run(scene) {
      const parent = bare(await rootOf(scene, '9.00'));
      return scene.present(signed(scene, parent, '9.01'), { as: scene.probe });
    },
  },
  {
    name: 'patched-sidecar-signs-two-siblings-that-overspend',
    has: 'probe’s keys, a user’s access token with a limit',
    expect: 'details_overspent',
    off: ['overspent'],
    async run(scene) {
      const root = await rootOf(scene, '20.00');
      for (const amount of ['15.00', '5.01']) {
        const came = await scene.present(signed(scene, bare(root), amount), { as: scene.probe });
        if (came !== REACHED) return came;
      }
      return found(scene, 'details_overspent', sha256Base64url(root.slice(0, root.lastIndexOf('.'))), SOON_MS);
    },
  },
];

async function rootOf(scene: Scene, amount: string): Promise<string> {
  const { running, log, probe } = scene;
  const { accessToken } = await tokensOf(scene, 'ada', { details: pay(amount) });
  const details = JSON.stringify(pay(amount));
  return (await exchangeToken({ mesh: running.mesh, log }, probe, accessToken, 'notes:read', details)).parent.txnToken;
}

function signed({ probe }: Scene, parent: ReturnType<typeof bare>, amount: string) {
  return extend(parent, probe.current(), workload('back'), { authorization_details: pay(amount) });
}
