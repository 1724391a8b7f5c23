/** Header fields that are truncated, reordered, repeated, oversized, misspelt, or in the wrong place; and facts that are made up. */
import { workload } from '../../../mesh/two-services.ts';
import { extend, linksOf, withLists, witsOf } from '../attacker/forge.ts';
import { type RawAnswer, sendRaw } from '../attacker/raw-http.ts';
import type { Scene } from '../attacker/scene.ts';
import { type Attempt, REACHED } from '../attempt.ts';

const HAS = 'middle’s keys, a chain handed to middle';
const BACK = workload('back');

/** A chain of middle’s with other header lines. */
function asSent(
  name: string,
  expect: string,
  off: readonly string[],
  lines: (chain: readonly [string, string][], scene: Scene) => Promise<readonly string[]> | readonly string[],
): Attempt {
  return {
    name,
    has: HAS,
    expect,
    off,
    async run(scene) {
      const chain = Object.entries(await scene.handedOn()) as [string, string][];
      return scene.present({}, { as: scene.middle, lines: await lines(chain, scene) });
    },
  };
}

/** A fact of the attacker's own that must not come to the app's eyes. */
function madeUp(name: string, has: string, send: (scene: Scene) => Promise<RawAnswer>): Attempt {
  return {
    name,
    has,
    expect: 'removed',
    off: ['strip'],
    async run(scene) {
      const { status, body } = await send(scene);
      if (status !== 200) return `status ${status}`;
      return body.includes('forged') ? REACHED : 'removed';
    },
  };
}

const line = ([name, value]: readonly [string, string]): string => `${name}: ${value}`;
const OUTSIDE = 'a user’s own access token';

function fromOutside(name: string, ...lines: string[]): Attempt {
  return madeUp(name, OUTSIDE, (scene) => scene.enter('/leak', 'ada', lines));
}

export const headerAttempts: readonly Attempt[] = [
  asSent('header-txn-token-twice', 'delegation_malformed', ['singletons'], (chain) => [
    ...chain.map(line),
    line(chain[0]!),
  ]),
  asSent('header-chain-twice-with-another-user’s', 'delegation_malformed', ['singletons'], async (chain, scene) => [
    ...chain.map(line),
    ...Object.entries(await scene.handedOn('bob')).map(([name, value]) => `${name.toUpperCase()}: ${value}`),
  ]),
  asSent('header-two-roots-in-one-field', 'delegation_malformed', ['singletons'], async (chain, scene) => {
    const bob = await scene.captured('bob');
    return chain.map(([name, value]) => line([name, name === 'txn-token' ? `${value}, ${bob['txn-token']}` : value]));
  }),
  asSent('header-hop-twice', 'delegation_malformed', ['singletons'], (chain, scene) => [
    ...chain.map(line),
    `Delegation-Hop: ${scene.nextHop()}`,
  ]),
  {
    name: 'header-links-in-reverse',
    has: HAS,
    expect: 'delegation_wrong_audience',
    off: ['audience', 'signers', 'wth', 'par_hash', 'depth', 'list', 'times', 'presenter'],
    async run(scene) {
      const chain = await scene.handedOn();
      return scene.present(withLists(chain, linksOf(chain).reverse(), witsOf(chain).reverse()), { as: scene.middle });
    },
  },
  {
    name: 'header-credentials-in-reverse',
    has: HAS,
    expect: 'delegation_holder_mismatch',
    off: ['presenter', 'signers', 'wth', 'signature'],
    async run(scene) {
      const chain = await scene.handedOn();
      return scene.present(withLists(chain, linksOf(chain), witsOf(chain).reverse()), { as: scene.middle });
    },
  },
  {
    name: 'header-link-twice-in-the-list',
    has: HAS,
    expect: 'delegation_holder_mismatch',
    off: ['signers', 'par_hash', 'depth', 'list', 'jti', 'policy'],
    async run(scene) {
      const chain = await scene.handedOn();
      const [links, wits] = [linksOf(chain), witsOf(chain)];
      return scene.present(withLists(chain, [...links, links[1]!], [...wits, wits[1]!]), { as: scene.middle });
    },
  },
  {
    name: 'header-link-oversized',
    has: HAS,
    expect: 'delegation_too_large',
    off: ['sizes'],
    async run(scene) {
      const next = [BACK, ...Array.from({ length: 20 }, (_, n) => workload(`${'x'.repeat(80)}${n}`))];
      return scene.present(extend(await scene.captured(), scene.middle.current(), BACK, { next }), {
        as: scene.middle,
      });
    },
  },
  {
    name: 'header-chain-in-trailers',
    has: HAS,
    expect: 'delegation_malformed',
    off: ['trailers'],
    async run(scene) {
      const chain = await scene.handedOn();
      return scene.present(chain, { as: scene.middle, trailers: [`Txn-Token: ${chain['txn-token']}`] });
    },
  },
  fromOutside('facts-made-up-outside', 'Delegation-Subject: forged'),
  fromOutside('facts-made-up-outside-in-upper-case', 'DELEGATION-SCOPES: forged'),
  fromOutside('facts-made-up-outside-with-underscores', 'delegation_subject: forged'),
  fromOutside('facts-made-up-outside-with-dots', 'delegation.actors: forged'),
  fromOutside('a-chain-made-up-outside', 'Txn_Token: forged', 'txn-token: forged'),
  fromOutside('a-handle-made-up-outside', 'Delegation-Context: forged', 'delegation_context: forged'),
  fromOutside('a-handle-made-up-outside-under-its-short-name', 'dlg: forged', 'DLG: forged'),
  madeUp('facts-made-up-by-a-peer-beside-its-chain', HAS, async (scene) =>
    sendRaw({
      address: scene.running.service('back').mesh,
      tls: scene.credentials(scene.middle),
      path: '/fields',
      lines: [
        ...Object.entries(await scene.handedOn()).map(line),
        `Delegation-Hop: ${scene.nextHop()}`,
        'delegation_subject: forged',
        'DELEGATION_SCOPES: forged',
      ],
    }),
  ),
  madeUp('facts-passed-on-by-an-app-that-copies-what-it-gets', 'the app of front', (scene) =>
    scene.enter('/stop', 'ada', [`X-Send: ${JSON.stringify(['delegation_subject', 'forged', 'TXN_TOKEN', 'forged'])}`]),
  ),
];
