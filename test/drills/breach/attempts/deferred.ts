/** References of work that was put off: stolen, used up, cancelled, or beside another request's handle. */
import { runCli } from '../../../mesh/run-cli.ts';
import { workload } from '../../../mesh/two-services.ts';
import { addressOf, type Scene } from '../attacker/scene.ts';
import { type Attempt, REACHED } from '../attempt.ts';
import { atDesk, handleAtDesk, tokensOf } from './desk.ts';
import { atLocalPort } from './handles.ts';

const HAS = 'the reference of work that desk put off';
const APP = 'the app of desk, its handle';

/** What the app of `desk` asks its sidecar for. */
export async function askToDefer(scene: Scene, line: string, wish: object): Promise<Answered> {
  const [name, value] = line.split(': ') as [string, string];
  const answer = await fetch(`http://${addressOf(scene.running.service('desk').localApi)}/delegations/deferred`, {
    method: 'POST',
    headers: { [name]: value, 'Content-Type': 'application/json' },
    body: JSON.stringify({ purpose: 'drill', ...wish }),
  });
  const body = (await answer.json()) as { reference?: string; id?: string; code?: string };
  return {
    line: `Delegation-Deferred: ${body.reference}`,
    id: body.id ?? '',
    outcome: answer.status === 201 ? REACHED : (body.code ?? `status ${answer.status}`),
  };
}

interface Answered {
  readonly line: string;
  readonly id: string;
  readonly outcome: string;
}

/** What the app of `desk` puts off for a user who agreed to it. */
async function putOff(scene: Scene): Promise<Answered> {
  const { accessToken } = await tokensOf(scene, 'bob', { deferrable: true });
  const answered = await askToDefer(scene, await handleAtDesk(scene, accessToken), { uses: 1 });
  if (answered.outcome !== REACHED) throw new Error(`put off: ${answered.outcome}`);
  return answered;
}

export const deferredAttempts: readonly Attempt[] = [
  {
    name: 'deferred-reference-stolen-by-another-workload',
    has: `${HAS}, the app of front`,
    expect: 'deferred_unknown',
    off: ['deferred-holder'],
    facts: () => ({ holder: workload('front') }),
    run: async (scene) => atLocalPort(scene, 'front', 'middle', [(await putOff(scene)).line], '/stop'),
  },
  {
    name: 'deferred-reference-stolen-and-shown-at-an-entry',
    has: HAS,
    expect: 'deferred_unknown',
    off: ['deferred-holder'],
    facts: () => ({ holder: workload('front') }),
    run: async (scene) =>
      scene.outcome(await scene.send({ address: scene.entry, path: '/leak', lines: [(await putOff(scene)).line] })),
  },
  {
    name: 'deferred-reference-used-up',
    has: HAS,
    expect: 'deferred_exhausted',
    off: ['deferred-state', 'deferred-use'],
    async run(scene) {
      const { line } = await putOff(scene);
      await atLocalPort(scene, 'desk', 'back', [line], '/fresh');
      return atLocalPort(scene, 'desk', 'back', [line], '/fresh');
    },
  },
  {
    name: 'deferred-reference-after-it-was-cancelled',
    has: HAS,
    expect: 'delegation_revoked',
    off: ['deferred-state', 'deferred-use', 'revocations'],
    async run(scene) {
      const { line, id } = await putOff(scene);
      const cancelled = await runCli(
        'deferred',
        'cancel',
        id,
        '--reason',
        'drill',
        '--json',
        '--dir',
        scene.running.dir.path,
      );
      if (cancelled.code !== 0) throw new Error(cancelled.stderr);
      return atLocalPort(scene, 'desk', 'back', [line]);
    },
  },
  {
    name: 'deferred-reference-beside-the-handle-of-another-user’s-request',
    has: `${HAS}, its handle`,
    expect: 'context_ambiguous',
    off: ['deferred-alone'],
    async run(scene) {
      const { line } = await putOff(scene);
      return atLocalPort(scene, 'desk', 'back', [line, await handleAtDesk(scene, scene.tokens.ada)]);
    },
  },
  {
    name: 'work-put-off-by-a-copied-trace-id',
    has: 'the app of desk, the trace id of a user’s request',
    expect: 'context_too_weak',
    off: ['carrier'],
    async run(scene) {
      const { accessToken } = await tokensOf(scene, 'bob', { deferrable: true });
      const copied = await atDesk(scene, accessToken, 'traceparent');
      return (await askToDefer(scene, `Traceparent: ${copied}`, {})).outcome;
    },
  },
  {
    name: 'work-put-off-of-a-user-who-did-not-agree',
    has: APP,
    expect: 'not_deferrable',
    off: ['deferred-agreed'],
    async run(scene) {
      const { accessToken } = await tokensOf(scene, 'bob');
      return (await askToDefer(scene, await handleAtDesk(scene, accessToken), {})).outcome;
    },
  },
  {
    name: 'work-put-off-more-often-than-the-user-agreed-to',
    has: APP,
    expect: 'not_deferrable',
    off: ['deferred-agreed'],
    async run(scene) {
      const { accessToken } = await tokensOf(scene, 'bob', { deferrable: true });
      return (await askToDefer(scene, await handleAtDesk(scene, accessToken), { uses: 6 })).outcome;
    },
  },
];
