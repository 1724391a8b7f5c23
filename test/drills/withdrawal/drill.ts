/**
 * `npm run drill:withdrawal -- [--runs N] [--cut-off-runs M] [--concurrency C] [--streams S]`: over three hops under as much load as
 * the machine carries, with open streams (server-sent events, gRPC, WebSocket), the consent of one of ten users is withdrawn: after how
 * long did the mesh answer for that user the last time, at any sidecar? Nobody else may see an error. Then the same with one sidecar
 * cut off from the collector. Each run is one JSON line, then the distribution, then the result (`docs/withdrawal.md`).
 */
import { parseArgs } from 'node:util';
import { runMesh } from '../../mesh/running-mesh.ts';
import { type CutOffResult, MAX_STALENESS_S, measureCutOff } from './cut-off.ts';
import { startFrozenProxy } from './frozen-proxy.ts';
import { measure, type RunOptions, type RunResult, type Sessions, WITHIN_MS } from './measure.ts';
import { newUsers, threeHops } from './three-hops.ts';

export interface DrillOptions extends RunOptions {
  readonly runs: number;
  readonly cutOffRuns: number;
  /** Further arguments for Node, by the child's name: to switch a check off. */
  readonly nodeArgs?: (child: string) => readonly string[];
}

export interface DrillResult {
  readonly drill: 'withdrawal';
  readonly tried: number;
  readonly held: number;
  readonly failed: readonly { readonly run: string; readonly broken: readonly string[] }[];
}

/** Runs both scenarios; `say` gets a line of JSON for each run and one for all of a scenario. */
export async function runDrill(options: DrillOptions, say: (line: object) => void): Promise<DrillResult> {
  const connected = options.runs === 0 ? [] : await runConnected(options, say);
  const cutOff = options.cutOffRuns === 0 ? [] : await runCutOff(options, say);
  const all = [
    ...connected.map(({ broken }, n) => ({ run: `connected ${n + 1}`, broken })),
    ...cutOff.map(({ broken }, n) => ({ run: `cut off ${n + 1}`, broken })),
  ];
  const failed = all.filter(({ broken }) => broken.length > 0);
  return { drill: 'withdrawal', tried: all.length, held: all.length - failed.length, failed };
}

async function runConnected(options: DrillOptions, say: (line: object) => void): Promise<RunResult[]> {
  const users = newUsers();
  const { nodeArgs = () => [] } = options;
  const running = await runMesh((dir) => threeHops(dir, users), { nodeArgs });
  const sessions: Sessions = [];
  const results: RunResult[] = [];
  try {
    for (let run = 0; run < options.runs; run += 1) {
      const result = await measure(running, running.consents, { users, sessions, who: run % users.length }, options);
      results.push(result);
      say({ scenario: 'connected', run: run + 1, ...result });
    }
  } finally {
    await running.stop();
  }
  const figures = ['askedToLastMs', 'answeredToLastMs', 'recordedToLastMs'] as const;
  const distribution = distributionOf(results, figures);
  say({ scenario: 'connected', distribution, limitMs: WITHIN_MS, runs: results.length });
  return results;
}

async function runCutOff(options: DrillOptions, say: (line: object) => void): Promise<CutOffResult[]> {
  const users = newUsers();
  const { nodeArgs = () => [] } = options;
  const proxy = await startFrozenProxy();
  const results: CutOffResult[] = [];
  try {
    const plan = { maxStalenessS: MAX_STALENESS_S, frontReaches: proxy.leadTo };
    const running = await runMesh((dir) => threeHops(dir, users, plan), { nodeArgs });
    try {
      for (let run = 0; run < options.cutOffRuns; run += 1) {
        const result = await measureCutOff(
          running,
          running.consents,
          { users, who: run % users.length, proxy },
          options,
        );
        results.push(result);
        say({ scenario: 'cut off', run: run + 1, ...result });
      }
    } finally {
      await running.stop();
    }
  } finally {
    proxy.close();
  }
  const figures = ['othersToLastMs', 'cutOffToLastMs', 'cutToFirstRefusalMs', 'mendedToAnswerMs'] as const;
  const distribution = distributionOf(results, figures);
  say({ scenario: 'cut off', distribution, limitMs: MAX_STALENESS_S * 1_000, runs: results.length });
  return results;
}

/** Of each figure the least, middle, 90 % and greatest. */
function distributionOf<Figure extends string>(
  results: readonly Readonly<Record<Figure, number>>[],
  figures: readonly Figure[],
): object {
  return Object.fromEntries(
    figures.map((figure) => {
      const sorted = results.map((result) => result[figure]).sort((a, b) => a - b);
      const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
      return [figure, { min: at(0), p50: at(0.5), p90: at(0.9), max: at(1) }];
    }),
  );
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '20' },
      'cut-off-runs': { type: 'string', default: '3' },
      concurrency: { type: 'string', default: '32' },
      streams: { type: 'string', default: '50' },
    },
  });
  const options = {
    runs: Number(values.runs),
    cutOffRuns: Number(values['cut-off-runs']),
    concurrency: Number(values.concurrency),
    streams: Number(values.streams),
  };
  const result = await runDrill(options, (line) => process.stdout.write(`${JSON.stringify(line)}\n`));
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (result.held !== result.tried) process.exitCode = 1;
}
