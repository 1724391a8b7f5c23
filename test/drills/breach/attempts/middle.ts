/** The compromised middle service, with its own keys and the chains that it was rightly handed: it tries to make more of them. */
import { generateKeyPairSync } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { workload } from '../../../mesh/two-services.ts';
import { type Claims, extend, flip, inventWit, linksOf, partOf, tamper, withLists, witsOf } from '../attacker/forge.ts';
import type { PresentOptions, Scene } from '../attacker/scene.ts';
import type { Attempt } from '../attempt.ts';

const HAS = 'middle’s keys, a chain handed to middle';
const BACK = workload('back');
/** A second of life and the 5 s for which an ended link is still taken. */
const ENDED_AFTER_MS = 7_000;
const nowS = (): number => Math.floor(Date.now() / 1000);

/** A link of middle's own with other claims, presented on middle's connection. */
function ownLink(
  name: string,
  expect: string,
  off: string | readonly string[],
  claims: Claims | ((scene: Scene) => Claims),
  options: Partial<PresentOptions> & { aud?: string } = {},
): Attempt {
  return {
    name,
    has: HAS,
    expect,
    off: typeof off === 'string' ? [off] : off,
    async run(scene) {
      const said = typeof claims === 'function' ? claims(scene) : claims;
      const { aud = BACK, ...how } = options;
      return scene.present(extend(await scene.captured(), scene.middle.current(), aud, said), {
        as: scene.middle,
        ...how,
      });
    },
  };
}

export const middleAttempts: readonly Attempt[] = [
  ownLink('middle-adds-a-scope', 'delegation_scope_widened', 'narrowing', { scope: 'notes:read notes:admin' }),
  ownLink('middle-takes-back-a-scope-that-front-narrowed-away', 'delegation_scope_widened', 'narrowing', {
    scope: 'notes:read notes:write',
  }),
  ownLink('middle-calls-a-route-beyond-its-scope', 'insufficient_scope', 'policy', {}, { path: '/write/1' }),
  ownLink(
    'middle-calls-an-admin-route-with-a-scope-that-nobody-granted',
    'insufficient_scope',
    'policy',
    {},
    {
      path: '/admin/1',
    },
  ),
  ownLink('middle-extends-past-its-parent', 'delegation_broken_chain', 'times', () => ({
    // Past the parent's end whatever that is, with a life that a link may have.
    iat: nowS() + 25,
    exp: nowS() + 85,
  })),
  ownLink('middle-gives-its-link-an-hour', 'delegation_malformed', 'times', () => ({ exp: nowS() + 3_600 })),
  ownLink('middle-backdates-before-its-parent', 'delegation_broken_chain', 'times', () => ({
    iat: nowS() - 50,
    exp: nowS() + 5,
  })),
  ownLink('middle-postdates-its-link', 'delegation_not_yet_valid', 'times', () => ({
    iat: nowS() + 45,
    exp: nowS() + 50,
  })),
  {
    name: 'middle-replays-an-ended-link',
    has: HAS,
    expect: 'delegation_expired',
    off: ['times'],
    async run(scene) {
      const ends = extend(await scene.captured(), scene.middle.current(), BACK, { exp: nowS() + 1 });
      await sleep(ENDED_AFTER_MS);
      return scene.present(ends, { as: scene.middle });
    },
  },
  ownLink(
    'middle-re-aims-its-link-at-another',
    'delegation_wrong_audience',
    ['audience', 'next'],
    {},
    {
      aud: workload('vault'),
    },
  ),
  ownLink(
    'middle-hands-on-to-whom-front-excluded',
    'delegation_broken_chain',
    'next',
    {},
    {
      aud: workload('vault'),
      to: 'vault',
    },
  ),
  ownLink(
    'middle-widens-next-in-its-own-link',
    'delegation_broken_chain',
    'next',
    {
      next: [workload('vault'), BACK],
    },
    { aud: workload('vault'), to: 'vault' },
  ),
  ownLink('middle-counts-its-depth-down', 'delegation_broken_chain', 'depth', { del_depth: 1 }),
  ownLink('middle-raises-the-depth-limit', 'delegation_too_deep', 'depth', { del_max_depth: 8 }),
  ownLink(
    'middle-hands-the-chain-to-itself',
    'delegation_loop',
    ['list', 'next', 'policy'],
    {},
    {
      aud: workload('middle'),
      to: 'middle',
      path: '/stop',
    },
  ),
  {
    name: 'middle-reuses-the-jti-of-front',
    has: HAS,
    expect: 'delegation_broken_chain',
    off: ['jti'],
    async run(scene) {
      const chain = await scene.captured();
      const { jti } = partOf(linksOf(chain)[0]!, 1);
      return scene.present(extend(chain, scene.middle.current(), BACK, { jti }), { as: scene.middle });
    },
  },
  ownLink('middle-names-another-parent', 'delegation_broken_chain', 'par_hash', { par_hash: 'A'.repeat(43) }),
  ownLink('middle-names-another-credential', 'delegation_broken_chain', 'wth', { wth: 'A'.repeat(43) }),
  ownLink('middle-adds-a-claim-that-nobody-knows', 'delegation_malformed', 'members', { sub: 'u:somebody-else' }),
  {
    name: 'middle-presents-its-own-chain-onwards-unchanged',
    has: HAS,
    expect: 'delegation_wrong_audience',
    off: ['audience', 'presenter'],
    run: async (scene) => scene.present(await scene.captured(), { as: scene.middle }),
  },
  {
    name: 'middle-drops-its-own-hop',
    has: HAS,
    expect: 'delegation_holder_mismatch',
    off: ['signers'],
    async run(scene) {
      // As if front had handed it to back itself; signed with the only key that he has.
      const { 'txn-token': root } = await scene.captured();
      const rooted = { 'txn-token': root, 'delegation-chain': '', 'delegation-credentials': '' };
      return scene.present(extend(rooted, scene.middle.current(), BACK), { as: scene.middle });
    },
  },
  {
    name: 'middle-drops-its-own-hop-by-editing-front’s-link',
    has: HAS,
    expect: 'delegation_holder_mismatch',
    off: ['presenter', 'signature'],
    async run(scene) {
      const chain = await scene.captured();
      const edited = tamper(linksOf(chain)[0]!, { aud: BACK });
      return scene.present(withLists(chain, [edited], witsOf(chain)), { as: scene.middle });
    },
  },
  {
    name: 'middle-drops-front’s-hop-and-claims-to-be-the-entry',
    has: HAS,
    expect: 'delegation_bad_signature',
    off: ['signature'],
    async run(scene) {
      const { 'txn-token': root } = await scene.captured();
      const own = tamper(root, { req_wl: scene.middle.spiffeId });
      const rooted = { 'txn-token': own, 'delegation-chain': '', 'delegation-credentials': '' };
      return scene.present(extend(rooted, scene.middle.current(), BACK), { as: scene.middle });
    },
  },
  {
    name: 'middle-splices-another-user’s-root-under-front’s-link',
    has: 'middle’s keys, chains of two users',
    expect: 'delegation_broken_chain',
    off: ['par_hash', 'times'],
    async run(scene) {
      const ada = await scene.captured('ada');
      const bob = await scene.captured('bob');
      const spliced = { ...ada, 'txn-token': bob['txn-token'] };
      return scene.present(extend(spliced, scene.middle.current(), BACK), { as: scene.middle });
    },
  },
  {
    name: 'middle-splices-its-link-for-one-user-onto-another’s-chain',
    has: 'middle’s keys, chains of two users',
    expect: 'delegation_broken_chain',
    off: ['par_hash', 'times'],
    async run(scene) {
      const ada = await scene.captured('ada');
      const bob = await scene.handedOn('bob');
      const links = [linksOf(ada)[0]!, linksOf(bob)[1]!];
      return scene.present(withLists(ada, links, witsOf(bob)), { as: scene.middle });
    },
  },
  {
    name: 'middle-writes-another-user-into-the-root',
    has: 'middle’s keys, chains of two users',
    expect: 'delegation_bad_signature',
    off: ['signature'],
    async run(scene) {
      const ada = await scene.captured('ada');
      const { sub } = partOf((await scene.captured('bob'))['txn-token'], 1);
      return scene.present(reRooted(scene, ada, { sub }), { as: scene.middle });
    },
  },
  {
    name: 'middle-writes-more-scope-into-the-root',
    has: HAS,
    expect: 'delegation_bad_signature',
    off: ['signature'],
    async run(scene) {
      const scope = 'notes:read notes:write notes:admin';
      return scene.present(reRooted(scene, await scene.captured(), { scope }), { as: scene.middle });
    },
  },
  {
    name: 'middle-makes-a-root-of-its-own',
    has: HAS,
    expect: 'delegation_bad_signature',
    off: ['root-key', 'signature'],
    async run(scene) {
      const { 'txn-token': model } = await scene.captured();
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
      const header = { ...partOf(model, 0), kid: 'mine' };
      const forged = tamper(
        `${encode(header)}.${encode(partOf(model, 1))}.x`,
        { req_wl: scene.middle.spiffeId },
        privateKey,
      );
      const rooted = { 'txn-token': forged, 'delegation-chain': '', 'delegation-credentials': '' };
      return scene.present(extend(rooted, scene.middle.current(), BACK), { as: scene.middle });
    },
  },
  {
    name: 'middle-signs-a-root-with-its-WIT-key-under-the-authority’s-key-name',
    has: HAS,
    expect: 'delegation_bad_signature',
    off: ['signature'],
    async run(scene) {
      const { 'txn-token': model } = await scene.captured();
      const forged = tamper(model, { req_wl: scene.middle.spiffeId }, scene.middle.current().witKey);
      const rooted = { 'txn-token': forged, 'delegation-chain': '', 'delegation-credentials': '' };
      return scene.present(extend(rooted, scene.middle.current(), BACK), { as: scene.middle });
    },
  },
  {
    name: 'middle-presents-a-root-that-is-meant-for-others',
    has: HAS,
    expect: 'delegation_bad_signature',
    off: ['root', 'signature'],
    async run(scene) {
      return scene.present(reRooted(scene, await scene.captured(), { aud: 'https://elsewhere.example' }), {
        as: scene.middle,
      });
    },
  },
  {
    name: 'middle-flips-a-bit-of-front’s-signature',
    has: HAS,
    expect: 'delegation_bad_signature',
    off: ['signature'],
    async run(scene) {
      const chain = await scene.captured();
      const flipped = withLists(chain, linksOf(chain).map(flip), witsOf(chain));
      return scene.present(extend(flipped, scene.middle.current(), BACK), { as: scene.middle });
    },
  },
  {
    name: 'middle-signs-its-link-with-a-key-that-no-WIT-names',
    has: HAS,
    expect: 'delegation_bad_signature',
    off: ['signature'],
    async run(scene) {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
      const signer = { wit: scene.middle.current().wit, witKey: privateKey };
      return scene.present(extend(await scene.captured(), signer, BACK), { as: scene.middle });
    },
  },
  {
    name: 'middle-invents-a-WIT-for-front-and-the-hand-over-that-front-never-made',
    has: HAS,
    expect: 'delegation_bad_signature',
    off: ['signature'],
    async run(scene) {
      const chain = await scene.captured();
      const front = inventWit(witsOf(chain)[0]!, {});
      const rooted = { ...chain, 'delegation-chain': '', 'delegation-credentials': '' };
      const forged = extend(rooted, front, scene.middle.spiffeId, { scope: 'notes:read notes:write' });
      return scene.present(extend(forged, scene.middle.current(), BACK), { as: scene.middle, path: '/write/1' });
    },
  },
  {
    name: 'middle-replays-a-hop',
    has: HAS,
    expect: 'delegation_replayed',
    off: ['hop-window'],
    async run(scene) {
      const chain = await scene.handedOn();
      const hop = scene.nextHop();
      await scene.present(chain, { as: scene.middle, hop });
      return scene.present(chain, { as: scene.middle, hop });
    },
  },
  {
    name: 'middle-forwards-the-user’s-access-token-beside-its-chain',
    has: 'middle’s keys, a user’s access token',
    expect: 'delegation_malformed',
    off: ['access-token'],
    run: async (scene) =>
      scene.present(await scene.handedOn(), {
        as: scene.middle,
        lines: [`Authorization: Bearer ${scene.tokens.ada}`],
      }),
  },
  {
    name: 'middle-hides-the-access-token-under-another-scheme',
    has: 'middle’s keys, a user’s access token',
    expect: 'delegation_malformed',
    off: ['access-token'],
    run: async (scene) =>
      scene.present(await scene.handedOn(), {
        as: scene.middle,
        lines: [`Authorization: Custom token="${scene.tokens.ada}"`],
      }),
  },
  {
    name: 'middle-calls-a-bound-route-with-a-free-link',
    has: HAS,
    expect: 'delegation_wrong_route',
    off: ['demands'],
    run: async (scene) => scene.present(await scene.handedOn(), { as: scene.middle, path: '/bound/7' }),
  },
  ownLink('middle-uses-a-link-bound-to-one-route-on-another', 'delegation_wrong_route', 'rte', {
    rte: 'GET /bound/{id}',
  }),
  ownLink(
    'middle-uses-a-link-that-is-good-once-at-another-pod',
    'delegation_wrong_audience',
    'once',
    {
      rte: 'GET /paid/{id}',
      once: 'A'.repeat(43),
    },
    { path: '/paid/7' },
  ),
];

/** The chain on a root with other claims: front's link has to be edited along, whose signature then is none. */
function reRooted(scene: Scene, chain: Awaited<ReturnType<Scene['captured']>>, claims: Claims): typeof chain {
  const root = tamper(chain['txn-token'], claims);
  const rooted = { 'txn-token': root, 'delegation-chain': '', 'delegation-credentials': '' };
  const front = { wit: witsOf(chain)[0]!, witKey: scene.middle.current().witKey };
  return extend(extend(rooted, front, scene.middle.spiffeId), scene.middle.current(), BACK);
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
