/** Calls to the outside: to where this workload may not, with what must not leave, and tokens that left coming back. */
import { exchangeToken } from '../../../../cli/story/intruder/workload.ts';
import { outcomeOf } from '../attacker/raw-http.ts';
import { addressOf, type Scene } from '../attacker/scene.ts';
import { type Attempt, REACHED } from '../attempt.ts';
import { handleAtDesk } from './desk.ts';
import { refusalOf } from './parts.ts';

const APP = 'the app of desk, its handle';
const LEFT = 'an access token that left for an exit';

async function goOut(scene: Scene, exit: string, more: readonly string[] = []) {
  const address = addressOf(scene.running.service('desk').exits[exit] ?? null);
  const lines = [await handleAtDesk(scene, scene.tokens.ada), ...more];
  return { lines, answer: await scene.send({ address, path: '/drill', lines }) };
}

/** What the bank was shown of a user's call. */
async function tokenThatLeft(scene: Scene): Promise<string> {
  const { answer } = await goOut(scene, 'bank');
  const token = scene.beyond.bank.seen.at(-1)?.fields['authorization']?.replace('Bearer ', '') ?? '';
  if (answer.status !== 200 || token === '') throw new Error(`no token left: ${outcomeOf(answer)}`);
  return token;
}

export const exitAttempts: readonly Attempt[] = [
  {
    name: 'exit-of-another-workload',
    has: APP,
    expect: 'policy_denied',
    off: ['exit-owner'],
    run: async (scene) => outcomeOf((await goOut(scene, 'others')).answer),
  },
  {
    name: 'exit-whose-name-stands-for-this-machine',
    has: 'the name service of an exit',
    expect: 'exit_address_refused',
    off: ['exit-address'],
    run: async (scene) => outcomeOf((await goOut(scene, 'machine')).answer),
  },
  {
    name: 'handle-sent-to-the-outside',
    has: 'a server outside',
    expect: 'removed',
    off: ['strip-own'],
    async run(scene) {
      const { lines, answer } = await goOut(scene, 'bank');
      if (answer.status !== 200) return outcomeOf(answer);
      const handle = lines[0]!.split(': ')[1]!;
      return JSON.stringify(scene.beyond.bank.seen.at(-1)).includes(handle) ? REACHED : 'removed';
    },
  },
  {
    name: 'handle-sent-to-the-outside-in-baggage',
    has: 'a server outside',
    expect: 'removed',
    off: ['strip-own'],
    async run(scene) {
      const handle = (await handleAtDesk(scene, scene.tokens.ada)).split(': ')[1]!;
      const address = addressOf(scene.running.service('desk').exits['bank'] ?? null);
      const answer = await scene.send({ address, path: '/drill', lines: [`Baggage: a=1, dlg=${handle}`] });
      if (answer.status !== 200) return outcomeOf(answer);
      return JSON.stringify(scene.beyond.bank.seen.at(-1)).includes(handle) ? REACHED : 'removed';
    },
  },
  {
    name: 'server-outside-speaks-for-the-mesh',
    has: 'a server outside',
    expect: 'removed',
    off: ['strip-own'],
    async run(scene) {
      const { status, headers } = (await goOut(scene, 'bank')).answer;
      if (status !== 200) return `status ${status}`;
      return headers.has('delegation-error') || headers.has('delegation-slot') ? REACHED : 'removed';
    },
  },
  {
    name: 'route-of-an-exit-overridden-by-a-header-field',
    has: APP,
    expect: 'removed',
    off: ['route-override'],
    async run(scene) {
      const { answer } = await goOut(scene, 'bank', ['X-Original-URL: /pay-all', 'x_http_method: PUT']);
      if (answer.status !== 200) return outcomeOf(answer);
      return JSON.stringify(scene.beyond.bank.seen.at(-1)).includes('/pay-all') ? REACHED : 'removed';
    },
  },
  {
    name: 'token-that-left-shown-at-our-entry',
    has: LEFT,
    expect: 'entry_token_invalid',
    off: ['own-token'],
    facts: ({ tokens }) => ({ presentedAs: tokens.ada }),
    async run(scene) {
      const lines = [`Authorization: Bearer ${await tokenThatLeft(scene)}`];
      return outcomeOf(await scene.send({ address: scene.entry, path: '/leak', lines }));
    },
  },
  {
    name: 'token-that-left-exchanged-for-a-root',
    has: `${LEFT}, probe’s keys`,
    expect: 'entry_token_invalid',
    off: ['own-token'],
    facts: ({ tokens }) => ({ presentedAs: tokens.ada }),
    async run(scene) {
      const token = await tokenThatLeft(scene);
      const { running, log, probe } = scene;
      return refusalOf(exchangeToken({ mesh: running.mesh, log }, probe, token, 'notes:read'));
    },
  },
];
