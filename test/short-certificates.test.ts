/**
 * Certificates that live 20 s, under constant load with new connections all the time and a client that never retries: renewal
 * costs no request. `BEHALF_LOAD_S=120` for the long run.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startClient } from './mesh/ledger.ts';
import { expectNoSequenceGap } from './mesh/record-checks.ts';
import { runMesh } from './mesh/running-mesh.ts';
import { twoServices } from './mesh/two-services.ts';

const LOAD_S = Number(process.env['BEHALF_LOAD_S'] ?? 45);
const LIFE_S = 20;

test(
  `certificates of ${LIFE_S} s for ${LOAD_S} s under load: no request fails, serials change, sockets do not grow`,
  async () => {
    const running = await runMesh((dir) =>
      twoServices(dir, { accounts: { ada: 'correct horse' }, certificateTtlS: LIFE_S }),
    );
    try {
      const { accessToken } = await running.signIn('ada', 'correct horse');
      const client = startClient({
        url: `${running.service('front').entry}/notes`,
        tokens: [accessToken],
        forMs: LOAD_S * 1000,
        concurrency: 8,
        paceMs: 20,
        newConnections: true,
      });
      const sidecars = ['front sidecar', 'back sidecar'].map((name) => running.mesh.children.get(name)!.pid);
      await client.written(100);
      const before = sidecars.map(openSockets);
      const ledger = await client.done;
      const after = sidecars.map(openSockets);

      expect(ledger.filter(({ status }) => status !== 200)).toEqual([]);
      const serials = await serialsByReporter(running);
      const least = Math.floor(LOAD_S / (LIFE_S / 2)) - 2;
      for (const name of ['front', 'back']) expect(serials.get(name)?.size ?? 0).toBeGreaterThanOrEqual(least);
      process.stderr.write(
        `certificates: ${ledger.length} requests, serials ${['front', 'back'].map((name) => `${name} ${serials.get(name)?.size}`).join(', ')}, open sockets ${before} then ${after}\n`,
      );
      // A connection that drains may still stand beside its successor.
      for (const [at, count] of after.entries()) expect(count).toBeLessThanOrEqual(before[at]! + 16);
      await expectNoSequenceGap(running);
    } finally {
      await running.stop();
    }
  },
  60_000 + LOAD_S * 2_000,
);

async function serialsByReporter(running: Awaited<ReturnType<typeof runMesh>>): Promise<Map<string, Set<string>>> {
  const serials = new Map<string, Set<string>>();
  for (const { logged, event } of await running.hops()) {
    if (event.body !== 'hop' || event.hop.side === 'SIDE_ENTRY') continue;
    const name = logged.reporter.slice(logged.reporter.lastIndexOf('/') + 1);
    const known = serials.get(name) ?? new Set();
    serials.set(name, known.add(event.hop.ownSerial.toString('hex')));
  }
  return serials;
}

function openSockets(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  let count = 0;
  for (const fd of readdirSync(folder)) {
    try {
      if (readlinkSync(`${folder}/${fd}`).startsWith('socket:')) count += 1;
    } catch {
      // It was closed between the two looks.
    }
  }
  return count;
}
