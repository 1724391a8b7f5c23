/** Requests through a real pair of sidecars, each with a root of its own: what both have in use at start, in the middle and at the end. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { MeshPlan } from '../../../cli/mesh/plan.ts';
import { eventually, runMesh } from '../../mesh/running-mesh.ts';
import { twoServices } from '../../mesh/two-services.ts';
import type { MemoryInUse } from './memory-in-use.ts';

const AT_ONCE = 32;
const SIDECARS = ['front sidecar', 'back sidecar'] as const;
/** As long as handles of ended requests linger, and one sweep. */
const LINGER_MS = 12_000;

export interface PairResult {
  readonly requests: number;
  /** By sidecar. */
  readonly memory: Readonly<Record<string, { start: MemoryInUse; middle: MemoryInUse; end: MemoryInUse }>>;
}

/** @throws where a request is not answered with 200 */
export async function runPair(requests: number, say: (line: string) => void): Promise<PairResult> {
  const password = randomBytes(12).toString('base64url');
  const files = new Map<string, string>();
  let folder = '';
  const running = await runMesh(
    (dir) => {
      folder = dir.path;
      return withoutReuse(twoServices(dir, { accounts: { user: password } }));
    },
    {
      nodeArgs(child) {
        if (!SIDECARS.some((name) => name === child)) return [];
        const file = join(folder, `${child.replace(' ', '-')}.memory`);
        files.set(child, file);
        const hook = pathToFileURL(new URL('tell-memory.ts', import.meta.url).pathname);
        hook.searchParams.set('to', file);
        return ['--import', hook.href];
      },
    },
  );
  try {
    const { accessToken } = await running.signIn('user', password);
    const entry = running.service('front').entry ?? '';
    const half = Math.floor(requests / 2);
    const measure = async (at: string, nth: number): Promise<MemoryInUse[]> => {
      await sleep(LINGER_MS);
      const all = await Promise.all(
        SIDECARS.map((name) => {
          running.mesh.children.get(name)!.kill('SIGUSR2');
          return eventually(async () => memoryOf(files.get(name)!, nth));
        }),
      );
      say(`pair, ${at}: ${JSON.stringify(all)}`);
      return all;
    };
    const start = await measure('start', 1);
    await drive(entry, accessToken, half);
    const middle = await measure(`middle (${half})`, 2);
    await drive(entry, accessToken, requests - half);
    const end = await measure(`end (${requests})`, 3);
    const of = (n: number) => ({ start: start[n]!, middle: middle[n]!, end: end[n]! });
    return { requests, memory: Object.fromEntries(SIDECARS.map((name, n) => [name, of(n)])) };
  } finally {
    await running.stop();
  }
}

/** A root for each request, so that every chain is new. */
function withoutReuse(plan: MeshPlan): MeshPlan {
  const mesh = plan.policy['mesh.yaml']!.replace('rootReuseS: 30', 'rootReuseS: 0');
  if (!mesh.includes('rootReuseS: 0')) throw new Error('the policy has no `rootReuseS` to change');
  return { ...plan, policy: { ...plan.policy, 'mesh.yaml': mesh } };
}

/** The nth line of what a sidecar told; null while it has not. */
function memoryOf(file: string, nth: number): MemoryInUse | null {
  if (!existsSync(file)) return null;
  const line = readFileSync(file, 'utf8').split('\n')[nth - 1];
  return line === undefined || line === '' ? null : (JSON.parse(line) as MemoryInUse);
}

async function drive(entry: string, accessToken: string, times: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  let left = times;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const status = await ask(`${entry}/notes`, accessToken, agent);
      if (status !== 200) throw new Error(`answered with ${status}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  agent.destroy();
}

function ask(url: string, accessToken: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent, headers: { Authorization: `Bearer ${accessToken}` } });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      response.resume();
      response.on('error', reject);
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.end();
  });
}
