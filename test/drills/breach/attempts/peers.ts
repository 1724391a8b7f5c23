/** Stolen chains and stolen keys in other hands: other workloads, other machines, other certificates. */
import { workload } from '../../../mesh/two-services.ts';
import { extend, inventWit, linksOf, withLists, witsOf } from '../attacker/forge.ts';
import type { Scene } from '../attacker/scene.ts';
import type { Attempt } from '../attempt.ts';

const BACK = workload('back');
const STOLEN = 'a chain handed to middle';

/** What the certificate check would have found, had it been fooled: the peer that the attacker claims to be. */
function peerLike({ middle }: Scene): object {
  const { spiffeId, serialHex, certificateS256, notBeforeS, notAfterS } = middle.current();
  return { peer: { spiffeId, serialHex, certificateS256, notBeforeS, notAfterS } };
}

export const peerAttempts: readonly Attempt[] = [
  {
    name: 'stolen-chain-from-a-workload-without-edges',
    has: `${STOLEN}, mallory’s keys`,
    expect: 'delegation_holder_mismatch',
    off: ['presenter', 'policy'],
    run: async (scene) => scene.present(await scene.handedOn(), { as: scene.mallory }),
  },
  {
    name: 'stolen-chain-from-a-workload-that-may-call-back',
    has: `${STOLEN}, probe’s keys`,
    expect: 'delegation_holder_mismatch',
    off: ['presenter'],
    run: async (scene) => scene.present(await scene.handedOn(), { as: scene.probe }),
  },
  {
    name: 'stolen-chain-shown-to-its-rightful-receiver-by-another',
    has: `${STOLEN}, probe’s keys`,
    expect: 'delegation_holder_mismatch',
    off: ['presenter', 'policy'],
    run: async (scene) => scene.present(await scene.captured(), { as: scene.probe, to: 'middle' }),
  },
  {
    name: 'stolen-chain-extended-by-a-workload-that-never-held-it',
    has: `${STOLEN}, probe’s keys`,
    expect: 'delegation_holder_mismatch',
    off: ['signers'],
    run: async (scene) =>
      scene.present(extend(await scene.captured(), scene.probe.current(), BACK), { as: scene.probe }),
  },
  {
    name: 'stolen-chain-with-the-holder’s-public-WIT-and-another-key',
    has: `${STOLEN}, middle’s WIT, probe’s keys`,
    expect: 'delegation_holder_mismatch',
    off: ['presenter', 'signature'],
    async run(scene) {
      const signer = { wit: scene.middle.current().wit, witKey: scene.probe.current().witKey };
      return scene.present(extend(await scene.captured(), signer, BACK), { as: scene.probe });
    },
  },
  {
    name: 'stolen-WIT-key-without-the-TLS-key',
    has: `${STOLEN}, middle’s WIT key, probe’s certificate`,
    expect: 'delegation_holder_mismatch',
    off: ['presenter'],
    run: async (scene) =>
      scene.present(extend(await scene.captured(), scene.middle.current(), BACK), { as: scene.probe }),
  },
  {
    name: 'stolen-TLS-key-without-the-WIT-key',
    has: `${STOLEN}, middle’s certificate and key, an invented WIT`,
    expect: 'delegation_bad_signature',
    off: ['signature'],
    async run(scene) {
      const signer = inventWit(scene.middle.current().wit, {});
      return scene.present(extend(await scene.captured(), signer, BACK), { as: scene.middle });
    },
  },
  {
    name: 'stolen-TLS-key-with-another-workload’s-WIT',
    has: `${STOLEN}, middle’s certificate and key, probe’s WIT key`,
    expect: 'delegation_holder_mismatch',
    off: ['presenter', 'signers'],
    run: async (scene) =>
      scene.present(extend(await scene.captured(), scene.probe.current(), BACK), { as: scene.middle }),
  },
  {
    name: 'stolen-workload-key-within-its-life-where-there-is-no-edge',
    has: 'probe’s keys, a user’s access token',
    expect: 'policy_denied',
    off: ['policy'],
    run: async (scene) =>
      scene.present(await scene.ofProbe({ aud: workload('vault') }), { as: scene.probe, to: 'vault' }),
  },
  {
    name: 'stolen-workload-key-with-a-chain-handed-to-another',
    has: 'middle’s keys, a chain of probe’s',
    expect: 'delegation_holder_mismatch',
    off: ['signers', 'policy', 'list'],
    async run(scene) {
      const chain = await scene.ofProbe();
      return scene.present(extend(chain, scene.middle.current(), BACK), { as: scene.middle });
    },
  },
  {
    name: 'stolen-chain-without-a-certificate',
    has: STOLEN,
    expect: 'peer_unauthenticated',
    off: ['certificate'],
    facts: peerLike,
    run: async (scene) => scene.present(await scene.handedOn(), { as: null }),
  },
  {
    name: 'stolen-chain-under-a-certificate-of-another-CA',
    has: `${STOLEN}, a CA of his own`,
    expect: 'peer_untrusted',
    off: ['certificate'],
    facts: peerLike,
    run: async (scene) => scene.present(await scene.handedOn(), { as: scene.foreign }),
  },
  {
    name: 'stolen-chain-in-the-clear-at-the-entry',
    has: STOLEN,
    expect: 'delegation_missing',
    off: ['credential'],
    async run(scene) {
      const chain = await scene.captured();
      const lines = Object.entries(chain).map(([name, value]) => `${name}: ${value}`);
      return scene.outcome(await scene.send({ address: scene.entry, lines }));
    },
  },
  {
    name: 'stolen-slot-from-another-connection',
    has: `${STOLEN}, its slot, middle’s keys`,
    expect: 'delegation_malformed',
    off: ['slot-table'],
    async run(scene) {
      const chain = await scene.handedOn();
      await scene.present(chain, { as: scene.middle });
      return scene.present({}, { as: scene.middle, lines: [`Delegation-Slot: ${scene.slotOf(chain)}`] });
    },
  },
  {
    name: 'stolen-slot-from-another-workload',
    has: 'the slot of a chain of middle’s, probe’s keys',
    expect: 'delegation_malformed',
    off: ['slot-table', 'presenter'],
    async run(scene) {
      const chain = await scene.handedOn();
      await scene.present(chain, { as: scene.middle });
      return scene.present({}, { as: scene.probe, lines: [`Delegation-Slot: ${scene.slotOf(chain)}`] });
    },
  },
  {
    name: 'stolen-link-that-is-good-once-used-again',
    has: 'probe’s keys',
    expect: 'delegation_replayed',
    off: ['once'],
    async run(scene) {
      const claims = { rte: 'GET /paid/{id}', once: await scene.certificateOf('back'), scope: 'notes:read' };
      const chain = await scene.ofProbe(claims);
      await scene.present(chain, { as: scene.probe, path: '/paid/7' });
      return scene.present(chain, { as: scene.probe, path: '/paid/7' });
    },
  },
  {
    name: 'root-presented-bare',
    has: `${STOLEN}, middle’s keys`,
    expect: 'delegation_malformed',
    off: ['bare-root'],
    async run(scene) {
      const { 'txn-token': root } = await scene.captured();
      return scene.present({ 'txn-token': root }, { as: scene.middle });
    },
  },
  {
    name: 'root-presented-bare-by-another-workload',
    has: `${STOLEN}, probe’s keys`,
    expect: 'delegation_malformed',
    off: ['bare-root'],
    async run(scene) {
      const { 'txn-token': root } = await scene.captured();
      return scene.present({ 'txn-token': root }, { as: scene.probe });
    },
  },
  {
    name: 'root-presented-as-a-bearer-token-beside-a-chain',
    has: `${STOLEN}, middle’s keys`,
    expect: 'delegation_malformed',
    off: ['access-token'],
    async run(scene) {
      const chain = await scene.handedOn();
      return scene.present(chain, { as: scene.middle, lines: [`Authorization: Bearer ${chain['txn-token']}`] });
    },
  },
  {
    name: 'chain-from-the-drill’s-beginning-replayed-at-its-end',
    has: 'middle’s keys, a chain of more than a minute ago',
    expect: 'delegation_expired',
    off: ['times'],
    async run(scene) {
      const chain = await scene.oldChain();
      return scene.present(chain, { as: scene.middle });
    },
  },
  {
    name: 'chain-cut-before-its-last-link',
    has: 'middle’s keys, a chain handed to middle',
    expect: 'delegation_wrong_audience',
    off: ['audience', 'presenter'],
    async run(scene) {
      const chain = await scene.handedOn();
      return scene.present(withLists(chain, linksOf(chain).slice(0, -1), witsOf(chain).slice(0, -1)), {
        as: scene.middle,
      });
    },
  },
  {
    name: 'chain-cut-before-its-first-link',
    has: 'middle’s keys, a chain handed to middle',
    expect: 'delegation_holder_mismatch',
    off: ['signers', 'par_hash', 'depth'],
    async run(scene) {
      const chain = await scene.handedOn();
      return scene.present(withLists(chain, linksOf(chain).slice(1), witsOf(chain).slice(1)), { as: scene.middle });
    },
  },
];
