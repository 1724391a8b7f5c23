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
}

export function startClient(orders: object): Client {
  const child = spawn(process.execPath, [CLIENT, JSON.stringify(orders)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: LedgerLine[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => {
    lines.push(JSON.parse(line) as LedgerLine);
    for (const { count, resolve } of waiting) if (lines.length >= count) resolve();
  });
  const done = new Promise<readonly LedgerLine[]>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(lines);
      else reject(new Error(`the client ended with ${code}`));
    });
  });
  return {
    lines,
    done,
    written: (count) =>
      lines.length >= count
        ? Promise.resolve()
        : Promise.race([new Promise<void>((resolve) => waiting.push({ count, resolve })), done.then(() => {})]),
  };
}
