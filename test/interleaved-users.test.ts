/** Many users at once through services that sleep for random times: no call ever runs on another user's authority. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { obtainTokens } from '../authority/headless/index.ts';
import { makeDemo } from '../cli/story/demo-plan.ts';
import { DEMO_SCOPES } from '../demo/index.ts';
import { startClient } from './mesh/ledger.ts';
import { runMesh } from './mesh/running-mesh.ts';

const REQUESTS = 500;
const AT_ONCE = 20;
const USERS = ['ada', 'bob', 'cyn', 'dan', 'eli'];
const LATEST_INBOUND = fileURLToPath(new URL('mesh/patches/latest-inbound.ts', import.meta.url));

interface Echo {
  readonly sent: string;
  readonly seen: string;
}

test('500 interleaved requests of 5 users: payments sees the right user in every one', async () => {
  const echoes = await echoedUsers();
  expect(echoes).toHaveLength(REQUESTS);
  expect(echoes.filter(({ sent, seen }) => sent !== seen)).toEqual([]);
}, 180_000);

test('the same test sees the mistake of taking the latest inbound request', async () => {
  const echoes = await echoedUsers((child) => (child === 'orders sidecar' ? ['--import', LATEST_INBOUND] : []));
  expect(echoes).toHaveLength(REQUESTS);
  expect(echoes.filter(({ sent, seen }) => sent !== seen).length).toBeGreaterThan(0);
}, 180_000);

/** What each of the requests was sent for, and whom payments saw. */
async function echoedUsers(nodeArgs: (child: string) => readonly string[] = () => []): Promise<Echo[]> {
  let client = { id: '', redirectUri: '' };
  const running = await runMesh(
    (dir) => {
      const demo = makeDemo(dir);
      client = demo.client;
      const accounts = USERS.map((name) => ({
        name,
        passwordFile: dir.write(`accounts/${name}`, `password of ${name}`),
      }));
      return { ...demo.plan, authority: { ...demo.plan.authority, accounts } };
    },
    { nodeArgs },
  );
  const { authority } = running.mesh.file;
  try {
    const tokens: string[] = [];
    const bodies: string[] = [];
    for (const account of USERS) {
      const { accessToken } = await obtainTokens({
        issuer: authority!.issuer,
        clientId: client.id,
        redirectUri: client.redirectUri,
        account,
        password: `password of ${account}`,
        scopes: [...DEMO_SCOPES],
        purpose: 'interleave',
        durationS: 3600,
      });
      const { subject } = await running.consents.lookUpSubject({ account });
      tokens.push(accessToken);
      bodies.push(JSON.stringify({ user: subject }));
    }
    const ledger = await startClient({
      url: `${running.service('storefront').entry}/echo-user`,
      method: 'POST',
      tokens,
      bodies,
      count: REQUESTS,
      concurrency: AT_ONCE,
    }).done;
    expect(ledger.filter(({ status }) => status !== 200)).toEqual([]);
    return ledger.map(({ body }) => JSON.parse(body) as Echo);
  } finally {
    await running.stop();
  }
}
