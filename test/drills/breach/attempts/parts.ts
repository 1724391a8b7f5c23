/** The mesh's own services, asked by a workload for what is not its: identities, roots, keys, the record. */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { exchangeToken } from '../../../../cli/story/intruder/workload.ts';
import { codeOf } from '../../../../errors/index.ts';
import { systemClock } from '../../../../identity/index.ts';
import { connectService, errorOfCall } from '../../../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../../../identity/own/own-identity.ts';
import { attest, makeKeys } from '../../../../identity/own/request-issuance.ts';
import { auditQuery } from '../../../../proto/behalf/audit/v1/audit.ts';
import { certificateAuthority, registration } from '../../../../proto/behalf/ca/v1/ca.ts';
import { workload } from '../../../mesh/two-services.ts';
import type { Scene } from '../attacker/scene.ts';
import { type Attempt, REACHED } from '../attempt.ts';

/** The code with which a call was refused, or that it was not. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return REACHED;
  } catch (error) {
    return codeOf(errorOfCall(error));
  }
}

type Address = Pick<Scene, 'running' | 'log'>;

function ca(scene: Address, as: OwnIdentity) {
  const { address, id } = scene.running.mesh.file.ca;
  const to = { address, expect: id, identity: as, log: scene.log };
  return { keys: connectService(certificateAuthority, to), registration: connectService(registration, to) };
}

async function atCa(scene: Scene, as: OwnIdentity, ask: (to: ReturnType<typeof ca>) => Promise<unknown>) {
  const to = ca(scene, as);
  try {
    return await refusalOf(ask(to));
  } finally {
    to.keys.close();
    to.registration.close();
  }
}

export const partAttempts: readonly Attempt[] = [
  {
    name: 'access-token-traded-for-a-fresh-root-by-middle',
    has: 'middle’s keys, a user’s access token',
    expect: 'policy_denied',
    off: ['entry'],
    facts: () => ({ ceiling: ['notes:read', 'notes:write'] }),
    run: ({ running, log, middle, tokens }) =>
      refusalOf(exchangeToken({ mesh: running.mesh, log }, middle, tokens.ada, 'notes:read notes:write')),
  },
  {
    name: 'access-token-traded-for-a-fresh-root-by-mallory',
    has: 'mallory’s keys, a user’s access token',
    expect: 'policy_denied',
    off: ['entry'],
    facts: () => ({ ceiling: ['notes:read', 'notes:write'] }),
    run: ({ running, log, mallory, tokens }) =>
      refusalOf(exchangeToken({ mesh: running.mesh, log }, mallory, tokens.ada, 'notes:read')),
  },
  {
    name: 'join-token-used-again',
    has: 'the join token of front, already used',
    expect: 'attestation_failed',
    off: ['join-token'],
    facts: () => ({ spiffeId: workload('front') }),
    run(scene) {
      const { file, dir } = scene.running.mesh;
      const trust = {
        caAddress: file.ca.address,
        bundleFile: file.bundleFile,
        attest: { joinTokenFile: dir.file('tokens', 'front') },
      };
      readFileSync(trust.attest.joinTokenFile);
      return refusalOf(attest(trust, scene.middle.bundle(), makeKeys(), { log: scene.log, clock: systemClock }));
    },
  },
  {
    name: 'join-token-made-by-a-workload',
    has: 'mallory’s keys',
    expect: 'policy_denied',
    off: ['operator'],
    run: (scene) =>
      atCa(scene, scene.mallory, (to) => to.registration.createJoinToken({ spiffeId: workload('front'), ttlS: 60 })),
  },
  {
    name: 'entry-made-by-a-workload',
    has: 'mallory’s keys',
    expect: 'policy_denied',
    off: ['operator'],
    run: (scene) =>
      atCa(scene, scene.mallory, (to) =>
        to.registration.createEntry({
          id: '',
          spiffeId: workload('front'),
          selectors: ['unix:uid:4242'],
          ttlS: 0,
          owner: 'mallory',
          reason: randomUUID(),
          createdS: 0,
        }),
      ),
  },
  {
    name: 'policy-key-published-by-a-workload',
    has: 'mallory’s keys',
    expect: 'policy_denied',
    off: ['key-owner'],
    facts: () => ({ owner: 'operator' }),
    run(scene) {
      const { publicKey } = generateKeyPairSync('ed25519');
      const key = { ...publicKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'EdDSA' };
      const { policy_keys } = scene.mallory.bundle().document.behalf;
      const keysJson = JSON.stringify({ policy_keys: [...policy_keys, key] });
      return atCa(scene, scene.mallory, (to) => to.keys.publishKeys({ keysJson }));
    },
  },
  {
    name: 'record-read-by-a-workload',
    has: 'mallory’s keys',
    expect: 'policy_denied',
    off: ['query-operator'],
    facts: () => ({ operator: workload('behalf/operator/up') }),
    async run({ running, mallory, log }) {
      const { address, id } = running.mesh.file.collector;
      const query = connectService(auditQuery, { address, expect: id, identity: mallory, log });
      try {
        return await refusalOf(query.listHops({ limit: 1 }));
      } finally {
        query.close();
      }
    },
  },
];
