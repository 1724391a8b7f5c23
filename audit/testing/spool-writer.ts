/** A process for tests to kill: appends events without end, several a turn, and prints the number that is on record. */
import { writeSync } from 'node:fs';
import { openSpool } from '../spool/index.ts';
import { sampleHop } from './sample-events.ts';

const spool = openSpool({
  dir: process.argv[2] ?? '',
  durability: 'normal',
  nowUs: () => Date.now() * 1000,
  segmentBytes: 20_000,
});
for (;;) {
  for (let index = 0; index < 5; index++) spool.append(sampleHop());
  await spool.append(sampleHop());
  writeSync(1, `${spool.state().nextSeq - 1}\n`);
}
