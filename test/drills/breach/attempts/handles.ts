/** Handles, which stand for a delegation inside one pod, in the wrong hands or at the wrong time; and calls that name none. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { outcomeOf } from '../attacker/raw-http.ts';
import { addressOf, type Scene } from '../attacker/scene.ts';
import type { Attempt } from '../attempt.ts';

const HANDLE = 'a handle of front’s for a user’s request';
/** Past this a handle of an ended request is dead. */
const LINGER_MS = 11_000;
/** `nobody` on Debian. */
const OTHER_UID = 65_534;

/** A call at a local port of a sidecar, as its own app would make it. */
export async function atLocalPort(
  scene: Scene,
  service: string,
  peer: string,
  lines: readonly string[],
  path = '/notes',
): Promise<string> {
  const address = addressOf(scene.running.service(service).peers[peer] ?? null);
  return outcomeOf(await scene.send({ address, path, lines }));
}

export const handleAttempts: readonly Attempt[] = [
  {
    name: 'stolen-handle-at-another-pod',
    has: HANDLE,
    expect: 'context_unknown',
    off: ['handle'],
    run: async (scene) =>
      atLocalPort(scene, 'middle', 'back', [`Delegation-Context: ${await scene.handle('ada', { alsoAt: 'middle' })}`]),
  },
  {
    name: 'stolen-handle-at-another-pod-in-baggage',
    has: HANDLE,
    expect: 'context_unknown',
    off: ['handle'],
    run: async (scene) =>
      atLocalPort(scene, 'middle', 'back', [`Baggage: dlg=${await scene.handle('ada', { alsoAt: 'middle' })}`]),
  },
  {
    name: 'stolen-handle-at-another-pod’s-local-API',
    has: HANDLE,
    expect: 'context_unknown',
    off: ['handle'],
    async run(scene) {
      const address = addressOf(scene.running.service('middle').localApi);
      const lines = [`Delegation-Context: ${await scene.handle('ada', { alsoAt: 'middle' })}`];
      return outcomeOf(await scene.send({ address, path: '/delegation', lines }));
    },
  },
  {
    name: 'guessed-handle',
    has: 'the app of front',
    expect: 'context_unknown',
    off: ['handle'],
    async run(scene) {
      await scene.handle('ada');
      return atLocalPort(scene, 'front', 'middle', [`Delegation-Context: ${'A'.repeat(22)}`], '/stop');
    },
  },
  {
    name: 'stolen-handle-from-outside-at-the-entry',
    has: HANDLE,
    expect: 'delegation_missing',
    off: ['credential'],
    run: async (scene) =>
      outcomeOf(
        await scene.send({
          address: scene.entry,
          path: '/stop',
          lines: [`Delegation-Context: ${await scene.handle('ada')}`],
        }),
      ),
  },
  {
    name: 'stolen-handle-from-outside-at-a-mesh-port',
    has: HANDLE,
    expect: 'peer_unauthenticated',
    off: ['certificate', 'bare-root'],
    facts: ({ middle }) => ({ peer: middle.current() }),
    async run(scene) {
      const handle = await scene.handle('ada');
      const { 'txn-token': root } = await scene.captured();
      return scene.present({ 'txn-token': root }, { as: null, lines: [`Delegation-Context: ${handle}`] });
    },
  },
  {
    name: 'stolen-handle-from-another-workload-at-a-mesh-port',
    has: `${HANDLE}, probe’s keys`,
    expect: 'delegation_malformed',
    off: ['bare-root'],
    async run(scene) {
      const handle = await scene.handle('ada');
      const { 'txn-token': root } = await scene.captured();
      return scene.present({ 'txn-token': root }, { as: scene.probe, lines: [`Delegation-Context: ${handle}`] });
    },
  },
  {
    name: 'stolen-handle-from-another-process',
    has: `${HANDLE}, a process of another user on the machine`,
    expect: 'local_peer_refused',
    off: ['uid'],
    impossible: () => (process.getuid?.() === 0 ? null : 'a process of another user needs root'),
    run: async (scene) =>
      asOtherUser(
        addressOf(scene.running.service('front').peers['middle'] ?? null),
        '/stop',
        `Delegation-Context: ${await scene.handle('ada')}`,
      ),
  },
  {
    name: 'stolen-handle-from-another-process-at-the-local-API',
    has: `${HANDLE}, a process of another user on the machine`,
    expect: 'local_peer_refused',
    off: ['uid'],
    impossible: () => (process.getuid?.() === 0 ? null : 'a process of another user needs root'),
    run: async (scene) =>
      asOtherUser(
        addressOf(scene.running.service('front').localApi),
        '/delegation',
        `Delegation-Context: ${await scene.handle('ada')}`,
      ),
  },
  {
    name: 'handle-long-after-its-request',
    has: `${HANDLE} that has ended`,
    expect: 'context_unknown',
    off: ['linger'],
    async run(scene) {
      const handle = await scene.handle('ada');
      await sleep(LINGER_MS);
      return atLocalPort(scene, 'front', 'middle', [`Delegation-Context: ${handle}`], '/stop');
    },
  },
  {
    name: 'handles-of-two-users-in-one-call',
    has: 'the app of front, handles of two users',
    expect: 'context_ambiguous',
    off: ['ambiguous'],
    async run(scene) {
      const [ada, bob] = [await scene.handle('ada'), await scene.handle('bob')];
      return atLocalPort(scene, 'front', 'middle', [`Delegation-Context: ${ada}`, `Baggage: dlg=${bob}`], '/stop');
    },
  },
  {
    name: 'handles-of-two-users-in-a-field-twice',
    has: 'the app of front, handles of two users',
    expect: 'context_ambiguous',
    off: ['ambiguous'],
    async run(scene) {
      const [ada, bob] = [await scene.handle('ada'), await scene.handle('bob')];
      const lines = [`Delegation-Context: ${ada}`, `DELEGATION-CONTEXT: ${bob}`];
      return atLocalPort(scene, 'front', 'middle', lines, '/stop');
    },
  },
  {
    name: 'copied-trace-id-in-place-of-a-handle',
    has: 'the app of front, the trace id of a user’s request',
    expect: 'delegation_missing',
    off: ['trace'],
    async run(scene) {
      const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      await scene.enter('/leak', 'ada', [`Traceparent: ${trace}`]);
      return atLocalPort(scene, 'front', 'middle', [`Traceparent: ${trace}`], '/stop');
    },
  },
  {
    name: 'call-without-any-handle',
    has: 'the app of front',
    expect: 'delegation_missing',
    off: ['trace'],
    async run(scene) {
      await scene.enter('/leak', 'ada');
      return atLocalPort(scene, 'front', 'middle', ['Traceparent: none'], '/stop');
    },
  },
  {
    name: 'app-asks-for-more-than-is-left',
    has: 'the app of front, its handle',
    expect: 'delegation_scope_widened',
    off: ['asked-scope'],
    async run(scene) {
      const lines = [`Delegation-Context: ${await scene.handle('ada')}`, 'Delegation-Scope: notes:read notes:admin'];
      return atLocalPort(scene, 'front', 'middle', lines, '/stop');
    },
  },
  {
    name: 'app-writes-a-chain-of-its-own',
    has: 'the app of front, a stolen chain',
    expect: 'delegation_missing',
    off: ['trace'],
    async run(scene) {
      const chain = await scene.captured();
      const lines = Object.entries(chain).map(([name, value]) => `${name}: ${value}`);
      return atLocalPort(scene, 'front', 'middle', [...lines, 'Traceparent: none'], '/stop');
    },
  },
  {
    name: 'session-token-that-nobody-signed-beside-a-kept-root',
    has: 'a user’s access token with another signature',
    expect: 'entry_token_invalid',
    off: ['root-key-of-token'],
    facts: ({ tokens }) => ({ cachedFor: tokens.ada }),
    async run(scene) {
      await scene.enter('/stop', 'ada');
      const forged = `${scene.tokens.ada.slice(0, -8)}AAAAAAAA`;
      const lines = [`Authorization: Bearer ${forged}`];
      return outcomeOf(await scene.send({ address: scene.entry, path: '/stop', lines }));
    },
  },
  {
    name: 'session-of-another-user-beside-a-kept-root',
    has: 'an access token of his own',
    expect: 'own user',
    off: ['root-key-of-token'],
    facts: ({ tokens }) => ({ cachedFor: tokens.ada }),
    async run(scene) {
      const [ada, bob] = [await scene.subjectOf('ada'), await scene.subjectOf('bob')];
      return ada === bob ? 'reached' : 'own user';
    },
  },
];

/** As a process of another user on this machine sees it. */
export function asOtherUser(address: string, path: string, line: string): Promise<string> {
  const code = `
    const lines = ['GET ${path} HTTP/1.1', 'Host: x', 'Connection: close', '${line}', '', ''];
    const at = '${address}'.lastIndexOf(':');
    const socket = require('node:net').connect(Number('${address}'.slice(at + 1)), '${address}'.slice(0, at));
    socket.on('error', () => undefined);
    socket.pipe(process.stdout);
    socket.write(lines.join('\\r\\n'));`;
  const child = spawn(process.execPath, ['-e', code], {
    uid: OTHER_UID,
    gid: OTHER_UID,
    cwd: '/',
    env: {},
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let answer = '';
  child.stdout.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1');
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      const code = /"code":"([a-z_]+)"/.exec(answer)?.[1];
      resolve(answer.startsWith('HTTP/1.1 200') ? 'reached' : (code ?? `closed ${answer.slice(0, 12)}`));
    });
  });
}
