/** Runs `client.ts` in another process and reads its ledger. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { LedgerLine } from './client.ts';

const CLIENT = fileURLToPath(new URL('client.ts', import.meta.url));

export interface Client {
  /** What the ledger says so far. */
  readonly lines: readonly LedgerLine[];
  /** Resolves when it has made its requests, with the whole ledger. */
  readonly done: Promise<readonly LedgerLine[]>;
  /** Resolves once so many lines are written. */
  written(count: number): Promise<void>;
  /** Resolves once so many more requests were answered with 200. */
  answered(more: number): Promise<void>;
  /** No new requests. */
  stop(): boolean;
}

export function startClient(orders: object): Client {
  const child = spawn(process.execPath, [CLIENT, JSON.stringify(orders)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: LedgerLine[] = [];
  let answered = 0;
  const waiting: { readonly enough: () => boolean; readonly resolve: () => void }[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => {
    const read = JSON.parse(line) as LedgerLine;
    lines.push(read);
    if (read.status === 200) answered += 1;
    for (const { enough, resolve } of waiting) if (enough()) resolve();
  });
  const done = new Promise<readonly LedgerLine[]>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(lines);
      else reject(new Error(`the client ended with ${code}`));
    });
  });
  const until = (enough: () => boolean): Promise<void> =>
    Promise.race([
      new Promise<void>((resolve) => (enough() ? resolve() : waiting.push({ enough, resolve }))),
      done.then(() => {}),
    ]);
  return {
    lines,
    done,
    written: (count) => until(() => lines.length >= count),
    answered: (more) => {
      const from = answered;
      return until(() => answered >= from + more);
    },
    stop: () => child.kill('SIGTERM'),
  };
}
