/**
 * `npm run bench:chain [-- --quick]`: what the delegation chain costs, against the bare signatures, an exchange a hop and Biscuit.
 * bench/README.md says how to read the rows.
 */
import { compareSizes, loadBiscuit, measureBiscuit } from './chain/biscuit.ts';
import { measureFirstSeen } from './chain/first-seen.ts';
import { createBenchMesh } from './chain/hops.ts';
import { measureKnown } from './chain/known.ts';
import { measureTraffic } from './chain/traffic.ts';
import { measureWireSize } from './chain/wire-size.ts';
import { readOptions } from './harness/options.ts';
import { openReport } from './harness/report.ts';

async function runBench(): Promise<void> {
  const { quick, limits } = readOptions(process.argv.slice(2));
  const report = openReport({ bench: 'chain', quick });
  const bench = createBenchMesh();
  report.progress('bytes on the wire');
  await measureWireSize(bench, report);
  report.progress('chains that are known');
  await measureKnown(bench, report, limits);
  report.progress('chains seen for the first time');
  await measureFirstSeen(bench, report, limits);
  const biscuit = await loadBiscuit(bench).catch((error: unknown) =>
    error instanceof Error ? error : new Error(String(error)),
  );
  if (!(biscuit instanceof Error)) {
    report.progress('Biscuit');
    compareSizes(bench, biscuit, report);
    await measureBiscuit(biscuit, report, limits);
  }
  report.progress('traffic: every request is new');
  await measureTraffic(bench, { biscuit, report, limits });
  report.finish();
}

await runBench();
