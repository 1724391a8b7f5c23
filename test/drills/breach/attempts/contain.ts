/**
 * Stolen keys after `behalf contain`, and what rests on something else that was taken back. These change the mesh, so they come
 * last; the first of them to run contains what all of them need contained.
 */

import { systemClock } from '../../../../identity/index.ts';
import { connectService } from '../../../../identity/mtls/index.ts';
import { renew } from '../../../../identity/own/request-issuance.ts';
import { certificateAuthority } from '../../../../proto/behalf/ca/v1/ca.ts';
import { runCli } from '../../../mesh/run-cli.ts';
import { eventually } from '../../../mesh/running-mesh.ts';
import { workload } from '../../../mesh/two-services.ts';
import { extend, type Fields } from '../attacker/forge.ts';
import { outcomeOf } from '../attacker/raw-http.ts';
import type { Scene } from '../attacker/scene.ts';
import { type Attempt, REACHED } from '../attempt.ts';
import { refusalOf } from './parts.ts';

const HAS = 'middle’s keys, after `contain --workload middle`';

interface Contained {
  /** Made before anything was contained. */
  readonly ofMiddle: Fields;
  readonly ofCyd: Fields;
}

const contained = new WeakMap<Scene, Promise<Contained>>();

/** Contains `middle` and the user `cyd`, once a mesh. */
function afterContain(scene: Scene): Promise<Contained> {
  const before = contained.get(scene);
  if (before !== undefined) return before;
  const doing = contain(scene);
  contained.set(scene, doing);
  return doing;
}

async function contain(scene: Scene): Promise<Contained> {
  const ofMiddle = await scene.handedOn('ada');
  // Of `probe`, whose keys stay good: only the user is taken back.
  const ofCyd = await scene.ofProbe({}, 'cyd');
  for (const target of [
    ['--user', 'cyd'],
    ['--workload', 'middle'],
  ]) {
    const { code, stderr } = await runCli('contain', ...target, '--json', '--dir', scene.running.dir.path);
    if (code !== 0) throw new Error(`contain ${target.join(' ')}: ${stderr}`);
  }
  // In force within a second; here until it is, so that what is tried next is tried after it.
  await eventually(async () => ((await scene.present(ofMiddle, { as: scene.middle })) === REACHED ? null : true));
  await eventually(async () => ((await scene.present(ofCyd, { as: scene.probe })) === REACHED ? null : true));
  return { ofMiddle, ofCyd };
}

export const containAttempts: readonly Attempt[] = [
  {
    name: 'contained-key-on-a-new-connection',
    has: HAS,
    expect: 'peer_revoked',
    off: ['revoked-connection', 'peer-standing', 'revocation'],
    before: afterContain,
    async run(scene) {
      const { ofMiddle } = await afterContain(scene);
      return scene.present(ofMiddle, { as: scene.middle });
    },
  },
  {
    name: 'contained-key’s-old-chain-from-another-workload',
    has: 'a chain that middle signed before it was contained, probe’s keys',
    expect: 'delegation_holder_mismatch',
    off: ['presenter', 'revocation'],
    before: afterContain,
    async run(scene) {
      const { ofMiddle } = await afterContain(scene);
      return scene.present(ofMiddle, { as: scene.probe });
    },
  },
  {
    name: 'contained-key-renews-itself',
    has: HAS,
    expect: 'peer_revoked',
    off: ['ca-revoked'],
    before: afterContain,
    async run(scene) {
      await afterContain(scene);
      const { address, id } = scene.running.mesh.file.ca;
      const client = connectService(certificateAuthority, {
        address,
        expect: id,
        identity: scene.middle,
        log: scene.log,
      });
      try {
        return await refusalOf(renew(client, scene.middle, undefined, systemClock));
      } finally {
        client.close();
      }
    },
  },
  {
    name: 'contained-key-hands-on-what-it-still-holds',
    has: HAS,
    expect: 'peer_revoked',
    off: ['revoked-connection', 'peer-standing', 'revocation', 'times'],
    before: afterContain,
    async run(scene) {
      const { ofMiddle } = await afterContain(scene);
      const { 'delegation-chain': links, 'delegation-credentials': wits } = ofMiddle;
      const held = {
        ...ofMiddle,
        'delegation-chain': links.split(', ')[0]!,
        'delegation-credentials': wits.split(', ')[0]!,
      };
      return scene.present(extend(held, scene.middle.current(), workload('back')), { as: scene.middle });
    },
  },
  {
    name: 'contained-user’s-chain',
    has: 'probe’s keys, a chain of a user who was contained',
    expect: 'delegation_revoked',
    off: ['revocation'],
    before: afterContain,
    async run(scene) {
      const { ofCyd } = await afterContain(scene);
      return scene.present(ofCyd, { as: scene.probe });
    },
  },
  {
    name: 'contained-user’s-access-token',
    has: 'the access token of a user who was contained',
    expect: 'entry_token_invalid',
    off: ['root-key-of-token'],
    before: afterContain,
    facts: ({ tokens }) => ({ cachedFor: tokens.bob }),
    async run(scene) {
      await afterContain(scene);
      return outcomeOf(await scene.enter('/leak', 'cyd'));
    },
  },
];
