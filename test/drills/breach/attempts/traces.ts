/** Trace ids, at an app whose requests are also found by them: copied, brought from outside, or carried by two requests. */
import { randomBytes } from 'node:crypto';
import { workload } from '../../../mesh/two-services.ts';
import { addressOf, type Scene } from '../attacker/scene.ts';
import { type Attempt, REACHED } from '../attempt.ts';
import { atDesk, handleAtDesk } from './desk.ts';
import { asOtherUser, atLocalPort } from './handles.ts';

const TRACE = 'the trace id of a user’s request';

const traceAtDesk = async (scene: Scene, token: string, lines: readonly string[] = []): Promise<string> =>
  `Traceparent: ${await atDesk(scene, token, 'traceparent', { lines })}`;

export const traceAttempts: readonly Attempt[] = [
  {
    name: 'copied-trace-id-beside-the-handle-of-another-user’s-request',
    has: `the app of desk, ${TRACE}`,
    expect: 'context_ambiguous',
    off: ['one-request'],
    async run(scene) {
      const copied = await traceAtDesk(scene, scene.tokens.ada);
      return atLocalPort(scene, 'desk', 'back', [await handleAtDesk(scene, scene.tokens.bob), copied]);
    },
  },
  {
    name: 'copied-trace-id-from-another-process',
    has: `${TRACE}, a process of another user on the machine`,
    expect: 'local_peer_refused',
    off: ['uid'],
    impossible: () => (process.getuid?.() === 0 ? null : 'a process of another user needs root'),
    run: async (scene) =>
      asOtherUser(
        addressOf(scene.running.service('desk').peers['back'] ?? null),
        '/notes',
        await traceAtDesk(scene, scene.tokens.ada),
      ),
  },
  {
    name: 'copied-trace-id-at-another-pod',
    has: `${TRACE}, the app of middle`,
    expect: 'delegation_missing',
    off: ['trace'],
    async run(scene) {
      await scene.enter('/stop', 'ada');
      return atLocalPort(scene, 'middle', 'back', [await traceAtDesk(scene, scene.tokens.ada)]);
    },
  },
  {
    name: 'copied-trace-id-from-outside-at-the-entry',
    has: `an access token of his own, ${TRACE}`,
    expect: 'own user',
    off: ['outside-trace', 'one-trace'],
    async run(scene) {
      const [ada, bob] = [scene.tokens.ada, scene.tokens.bob];
      const copied = await traceAtDesk(scene, ada);
      const given = await traceAtDesk(scene, bob, [copied]);
      const whose = await subjectBehind(scene, given);
      return whose === (await atDesk(scene, ada, 'delegation-subject'))
        ? REACHED
        : whose === (await atDesk(scene, bob, 'delegation-subject'))
          ? 'own user'
          : whose;
    },
  },
  {
    name: 'trace-id-of-two-requests',
    has: 'probe’s keys, access tokens of two users',
    expect: 'context_ambiguous',
    off: ['one-trace'],
    async run(scene) {
      const trace = `Traceparent: 00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;
      for (const user of ['ada', 'bob'] as const) {
        const chain = await scene.ofProbe({ aud: workload('desk') }, user);
        const came = await scene.present(chain, { as: scene.probe, to: 'desk', path: '/leak', lines: [trace] });
        if (came !== REACHED) return `request of ${user}: ${came}`;
      }
      return atLocalPort(scene, 'desk', 'back', [trace]);
    },
  },
];

/** Whose call `back` takes it for. */
async function subjectBehind(scene: Scene, line: string): Promise<string> {
  const address = addressOf(scene.running.service('desk').peers['back'] ?? null);
  const answer = await scene.send({ address, path: '/notes', lines: [line] });
  return answer.status === 200
    ? String((JSON.parse(bodyOf(answer.body)) as { subject: unknown }).subject)
    : scene.outcome(answer);
}

/** Without what chunking adds. */
function bodyOf(body: string): string {
  return /\{.*\}/s.exec(body)?.[0] ?? '{}';
}
