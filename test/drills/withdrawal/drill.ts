/**
 * `npm run drill:withdrawal -- --runs N [--concurrency C] [--streams S]`: over three hops under as much load as the machine
 * carries, with open streams, the consent of one of ten users is withdrawn: after how long did the mesh answer for that user the
 * last time, at any sidecar? Nobody else may see an error. Each run is one JSON line, then the distribution, then the result.
 */
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { connectService } from '../../../identity/mtls/index.ts';
import { consents } from '../../../proto/behalf/authority/v1/authority.ts';
import { runMesh } from '../../mesh/running-mesh.ts';
import { measure, type RunOptions, type RunResult, type Sessions, WITHIN_MS } from './measure.ts';
import { newUsers, threeHops } from './three-hops.ts';

export interface DrillOptions extends RunOptions {
  readonly runs: number;
  /** Further arguments for Node, by the child's name: to switch a check off. */
  readonly nodeArgs?: (child: string) => readonly string[];
}

export interface DrillResult {
  readonly drill: 'withdrawal';
  readonly tried: number;
  readonly held: number;
  readonly failed: readonly { readonly run: number; readonly broken: readonly string[] }[];
}

/** Runs it; `say` gets a line of JSON for each run and one for all together. */
export async function runDrill(options: DrillOptions, say: (line: object) => void): Promise<DrillResult> {
  const users = newUsers();
  const { nodeArgs = () => [] } = options;
  const running = await runMesh((dir) => threeHops(dir, users), { nodeArgs });
  const { authority } = running.mesh.file;
  const operator = connectService(consents, {
    address: authority!.address,
    identity: running.mesh.operator,
    expect: authority!.id,
    log: pino({ level: 'silent' }),
  });
  const sessions: Sessions = [];
  const results: RunResult[] = [];
  try {
    for (let run = 0; run < options.runs; run += 1) {
      const result = await measure(running, operator, { users, sessions, who: run % users.length }, options);
      results.push(result);
      say({ run: run + 1, ...result });
    }
  } finally {
    operator.close();
    await running.stop();
  }
  say({ distribution: distributionOf(results), limitMs: WITHIN_MS, runs: results.length });
  const failed = results.flatMap(({ broken }, run) => (broken.length === 0 ? [] : [{ run: run + 1, broken }]));
  return { drill: 'withdrawal', tried: results.length, held: results.length - failed.length, failed };
}

function distributionOf(results: readonly RunResult[]): object {
  const of = (pick: (result: RunResult) => number): object => {
    const sorted = results.map(pick).sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
    return { min: at(0), p50: at(0.5), p90: at(0.9), max: at(1) };
  };
  return {
    askedToLastMs: of(({ askedToLastMs }) => askedToLastMs),
    answeredToLastMs: of(({ answeredToLastMs }) => answeredToLastMs),
    recordedToLastMs: of(({ recordedToLastMs }) => recordedToLastMs),
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '20' },
      concurrency: { type: 'string', default: '32' },
      streams: { type: 'string', default: '50' },
    },
  });
  const options = {
    runs: Number(values.runs),
    concurrency: Number(values.concurrency),
    streams: Number(values.streams),
  };
  const result = await runDrill(options, (line) => process.stdout.write(`${JSON.stringify(line)}\n`));
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (result.held !== result.tried) process.exitCode = 1;
}
