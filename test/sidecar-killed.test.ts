/** A sidecar may die in the middle of requests: whatever a client saw answered is on record. */
import { expect, test } from 'vitest';
import { startClient } from './mesh/ledger.ts';
import { expectEveryHopOnRecordOnce, expectNoSequenceGap } from './mesh/record-checks.ts';
import { runMesh } from './mesh/running-mesh.ts';
import { twoServices } from './mesh/two-services.ts';

test.each(['back', 'front'])(
  'after kill -9 of the sidecar of %s, every answered request has its hops in the log',
  async (name) => {
    const running = await runMesh((dir) => twoServices(dir, { accounts: { ada: 'correct horse' } }));
    try {
      const { accessToken } = await running.signIn('ada', 'correct horse');
      const client = startClient({
        url: `${running.service('front').entry}/notes`,
        tokens: [accessToken],
        concurrency: 16,
        paceMs: 25,
        sleepUpToMs: 30,
      });
      for (let kill = 1; kill <= 2; kill += 1) {
        await client.answered(100);
        running.mesh.children.get(`${name} sidecar`)!.kill('SIGKILL');
        await running.mesh.children.restart(`${name} sidecar`);
      }
      await client.answered(100);
      client.stop();
      const ledger = await client.done;
      // It was killed while requests were under way, and it came back: the client has waited for that.
      expect(ledger.filter(({ status }) => status !== 200).length).toBeGreaterThan(0);
      await expectEveryHopOnRecordOnce(running, ledger);
      await expectNoSequenceGap(running);
    } finally {
      await running.stop();
    }
  },
  120_000,
);
