/** Loaded into a sidecar with `--import`: on SIGUSR2 it adds a line with its memory in use to the file named in the module's URL. */
import { appendFileSync } from 'node:fs';
import { memoryInUse } from './memory-in-use.ts';

const file = new URL(import.meta.url).searchParams.get('to');
if (file !== null) process.on('SIGUSR2', () => appendFileSync(file, `${JSON.stringify(memoryInUse())}\n`));
