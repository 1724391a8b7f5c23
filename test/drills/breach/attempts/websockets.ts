/** WebSockets: begun with what was stolen, with a request hidden behind the head, or held open after a withdrawal. */
import { randomBytes } from 'node:crypto';
import { runCli } from '../../../mesh/run-cli.ts';
import { talkRaw } from '../attacker/raw-http.ts';
import { addressOf, type Scene } from '../attacker/scene.ts';
import { type Attempt, REACHED } from '../attempt.ts';
import { handleAtDesk, tokensOf } from './desk.ts';

/** A stream goes on for so long after a withdrawal before it counts as one that nobody ended. */
const ENDED_WITHIN_MS = 5_000;

interface Upgrade {
  readonly lines: readonly string[];
  readonly behind?: string;
  /** Called once it is open; then the stream is read until it ends or `ENDED_WITHIN_MS` are over. */
  readonly opened?: () => Promise<void>;
}

/** Asks the local port of a service's sidecar for a WebSocket to `back`. */
async function upgrade(scene: Scene, service: string, { lines, behind = '', opened }: Upgrade): Promise<string> {
  const key = `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`;
  const ask = ['Host: victim', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', key];
  const text = `${['GET /updates HTTP/1.1', ...ask, ...lines].join('\r\n')}\r\n\r\n${behind}`;
  const address = addressOf(scene.running.service(service).peers['back'] ?? null);
  const talk = talkRaw(address, text);
  try {
    const head = await talk.until((said) => /^HTTP\/1.1 101 [\s\S]*?\r\n\r\n|"code":"\w+"/.test(said));
    if (!head.startsWith('HTTP/1.1 101')) return /"code":"(\w+)"/.exec(head)?.[1] ?? head.split('\r\n')[0]!;
    if (opened === undefined) return REACHED;
    await opened();
    const said = await talk.until((all) => all.includes('consent_withdrawn'), ENDED_WITHIN_MS);
    return said.includes('consent_withdrawn') ? 'consent_withdrawn' : talk.isOpen() ? REACHED : 'ended without a word';
  } finally {
    talk.close();
  }
}

export const websocketAttempts: readonly Attempt[] = [
  {
    name: 'websocket-with-a-stolen-handle',
    has: 'a handle of front’s for a user’s request',
    expect: 'context_unknown',
    off: ['handle'],
    run: async (scene) =>
      upgrade(scene, 'middle', { lines: [`Delegation-Context: ${await scene.handle('ada', { alsoAt: 'middle' })}`] }),
  },
  {
    name: 'websocket-with-a-request-hidden-in-a-body',
    has: 'the app of desk, its handle',
    expect: 'request_malformed',
    off: ['upgrade-body'],
    async run(scene) {
      const handle = await handleAtDesk(scene, scene.tokens.ada);
      const hidden = `GET /admin/all HTTP/1.1\r\nHost: victim\r\n${handle}\r\n\r\n`;
      return upgrade(scene, 'desk', { lines: [handle, `Content-Length: ${hidden.length}`], behind: hidden });
    },
  },
  {
    name: 'websocket-held-open-after-its-consent-was-withdrawn',
    has: 'a user’s access token, and a stream that runs on it',
    expect: 'consent_withdrawn',
    off: ['running-revoked'],
    async run(scene) {
      const { accessToken, consentId } = await tokensOf(scene, 'bob');
      return upgrade(scene, 'desk', {
        lines: [await handleAtDesk(scene, accessToken)],
        opened: async () => {
          const { code, stderr } = await runCli(
            'contain',
            '--consent',
            consentId,
            '--json',
            '--dir',
            scene.running.dir.path,
          );
          if (code !== 0) throw new Error(stderr);
        },
      });
    },
  },
];
