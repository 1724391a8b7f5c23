/** The collector may die at any time: calls go on within the staleness limit, and the record has no gap afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startClient } from './mesh/ledger.ts';
import { expectEveryHopOnRecordOnce, expectNoSequenceGap } from './mesh/record-checks.ts';
import { eventually, runMesh } from './mesh/running-mesh.ts';
import { twoServices } from './mesh/two-services.ts';

const SHORTEST_STALENESS_S = 15;

test('a collector killed five times during 200 requests costs no request and no record', async () => {
  const running = await runMesh((dir) => twoServices(dir, { accounts: { ada: 'correct horse' } }));
  try {
    const { accessToken } = await running.signIn('ada', 'correct horse');
    const client = startClient({
      url: `${running.service('front').entry}/notes`,
      tokens: [accessToken],
      count: 200,
      concurrency: 4,
      paceMs: 100,
    });
    for (let kill = 1; kill <= 5; kill += 1) {
      await client.written(kill * 30);
      running.mesh.children.get('collector')!.kill('SIGKILL');
      await running.mesh.children.restart('collector');
    }
    const ledger = await client.done;
    expect(ledger.filter(({ status }) => status !== 200)).toEqual([]);
    expect(ledger).toHaveLength(200);
    await expectEveryHopOnRecordOnce(running, ledger);
    await expectNoSequenceGap(running);
  } finally {
    await running.stop();
  }
}, 120_000);

test('a collector gone for longer than the limit stops users’ calls with revocation_stale until it is back', async () => {
  const running = await runMesh((dir) =>
    twoServices(dir, { accounts: { ada: 'correct horse' }, maxStalenessS: SHORTEST_STALENESS_S }),
  );
  try {
    const { accessToken } = await running.signIn('ada', 'correct horse');
    const call = async (): Promise<{ status: number; code: string }> => {
      const answer = await fetch(`${running.service('front').entry}/notes`, {
        headers: { Authorization: `Bearer ${accessToken}` },
      });
      const body = (await answer.json()) as { code?: string };
      return { status: answer.status, code: body.code ?? '' };
    };
    expect(await call()).toEqual({ status: 200, code: '' });
    running.mesh.children.get('collector')!.kill('SIGKILL');
    await sleep(SHORTEST_STALENESS_S * 1000);
    const refused = await eventually(async () => {
      const answer = await call();
      return answer.status === 200 ? null : answer;
    });
    expect(refused).toEqual({ status: 503, code: 'revocation_stale' });
    await running.mesh.children.restart('collector');
    await eventually(async () => ((await call()).status === 200 ? true : null), 40_000);
  } finally {
    await running.stop();
  }
}, 180_000);
