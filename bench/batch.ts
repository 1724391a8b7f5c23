/**
 * `npm run bench:batch [-- --quick]`: what batch-signed links would save in real sidecars, where every request has a new root and
 * three hops, 32 at once: processor time of each sidecar and request, with link signatures as they are, shared by the links of an
 * event-loop turn, and left out altogether (`batch/shared-signatures.ts`). bench/README.md says how to read the rows.
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { pathToFileURL } from 'node:url';
import { type BatchMesh, SERVICES, startBatchMesh } from './batch/mesh.ts';
import { type Counted, SEQUENCE, WAYS, type Way } from './batch/shared-signatures.ts';
import { readOptions } from './harness/options.ts';
import { openReport, type Report } from './harness/report.ts';
import { median, medianRatio } from './harness/rounds.ts';

const AT_ONCE = 32;
const QUICK = { rounds: 3, requests: 600 };
const FULL = { rounds: 8, requests: 1_500 };
/** Until then most of the processor time is the compiler's. */
const WARM_UP_REQUESTS = { quick: 1_000, full: 6_000 };
/** Linux counts processor time of others in these. */
const TICKS_PER_S = 100;
/** Below this the issue asks to leave batch signatures out. */
const LEAST_GAIN = 0.15;

/** Microseconds of processor time a request, by sidecar; one a round. */
type Measured = Readonly<Record<Way, number[][]>>;

async function runBench(): Promise<void> {
  const { quick } = readOptions(process.argv.slice(2));
  const { rounds, requests } = quick ? QUICK : FULL;
  const report = openReport({ bench: 'batch', quick });
  report.progress('a mesh of four sidecars');
  const countFiles: string[] = [];
  const mesh = await startBatchMesh((service, folder) => {
    const hook = pathToFileURL(new URL('batch/shared-signatures.ts', import.meta.url).pathname);
    const file = `${folder}/${service}.counts`;
    countFiles.push(file);
    hook.searchParams.set('counts', file);
    return hook.href;
  });
  try {
    const measured: Measured = { own: [], shared: [], free: [] };
    await drive(mesh, WARM_UP_REQUESTS[quick ? 'quick' : 'full']);
    for (let turn = 0; turn < rounds * WAYS.length; turn++) {
      const way = SEQUENCE[turn % SEQUENCE.length] as Way;
      report.progress(`turn ${turn + 1} of ${rounds * WAYS.length}: link signatures ${way}`);
      const before = mesh.sidecars.map(({ pid }) => cpuUs(pid));
      await drive(mesh, requests);
      measured[way].push(mesh.sidecars.map(({ pid }, n) => (cpuUs(pid) - before[n]!) / requests));
      for (const sidecar of mesh.sidecars) sidecar.kill('SIGUSR2');
      await settled(countFiles, turn + 1);
    }
    reportWays(report, measured, countFiles.map(readCounts));
    report.finish();
  } finally {
    await mesh.stop();
  }
}

/** Who calls whom, and all four together. */
const GROUPS: readonly (readonly number[])[] = [[0, 1], [1, 2], [2, 3], SERVICES.map((_, n) => n)];

function reportWays(report: Report, measured: Measured, counts: readonly (readonly Counted[])[]): void {
  for (const group of GROUPS) {
    const of = (way: Way): number[] => measured[way].map((sidecars) => group.reduce((sum, n) => sum + sidecars[n]!, 0));
    const name = group.map((n) => SERVICES[n]).join(' + ');
    const row = (way: Way): string => `sidecars ${name}, link signatures ${way}`;
    for (const way of WAYS) {
      const peer = way === 'own' ? null : row('own');
      const ratio = peer === null ? null : medianRatio(of(way), of('own'));
      report.row({ row: row(way), metric: 'cpu a request', value: median(of(way)), unit: 'us', peer, ratio });
    }
    const gain = 1 - medianRatio(of('shared'), of('own'));
    report.goal({
      name: `gain by shared link signatures, ${name}`,
      goal: `>= ${LEAST_GAIN}`,
      value: gain,
      met: gain >= LEAST_GAIN,
    });
  }
  const shared = counts.flat().filter(({ way }) => way === 'shared');
  const sum = (of: (counted: Counted) => number): number => shared.reduce((all, one) => all + of(one), 0);
  const value = sum(({ signed }) => signed) / sum(({ turns }) => turns);
  report.row({ row: 'links made in one turn', metric: 'links', value, unit: '', peer: null, ratio: null });
}

/** `times` requests, `AT_ONCE` under way. @throws where one is not answered with 200 */
async function drive({ entry, accessToken }: BatchMesh, times: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  let left = times;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await ask(entry, accessToken, agent);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  agent.destroy();
}

function ask(url: string, accessToken: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request(`${url}/notes`, { agent, headers: { Authorization: `Bearer ${accessToken}` } });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      response.resume();
      response.on('error', reject);
      response.on('end', () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`answered with ${response.statusCode}`)),
      );
    });
    outgoing.end();
  });
}

/** Processor time of a process so far, user and system. */
function cpuUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in brackets, in which anything may stand.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_S) * 1e6;
}

/** Until every sidecar has gone on to the next way. */
async function settled(files: readonly string[], lines: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (files.every((file) => readCounts(file).length >= lines)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('a sidecar did not go on to the next way');
}

function readCounts(file: string): readonly Counted[] {
  try {
    return readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Counted);
  } catch {
    return [];
  }
}

await runBench();
