/** The machine that a benchmark ran on, and how busy it was: figures of another machine are not comparable. */
import os from 'node:os';

export interface MachineFacts {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMib: number;
  readonly os: string;
  readonly node: string;
  readonly openssl: string;
  /** Runnable processes, average of the last minute, when the benchmark ended. Above `cores` others took part of its time. */
  readonly load1: number;
}

export function machineFacts(): MachineFacts {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryMib: Math.round(os.totalmem() / 1_048_576),
    os: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    openssl: process.versions.openssl ?? 'unknown',
    load1: Math.round((os.loadavg()[0] ?? 0) * 100) / 100,
  };
}
