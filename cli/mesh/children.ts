/** All children of a supervisor together: started one by one, watched, and ended in the reverse order. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Child, type ChildSpec, diedError, startChild } from './child.ts';

export interface Children {
  /** Starts a child. @throws {BehalfError} why it could not */
  start(spec: Omit<ChildSpec, 'logFile'>): Promise<Child>;
  get(name: string): Child | undefined;
  /** Starts a child again that has ended, as it was started before. */
  restart(name: string): Promise<Child>;
  names(): string[];
  /** Rejects with `process_died` once a child has ended that nobody asked to end. */
  readonly died: Promise<never>;
  /** Ends all, the last started first. Never rejects. */
  stop(): Promise<void>;
}

/** `logs` is the folder that gets a log file a child. */
export function createChildren(logs: string, log: Logger): Children {
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  const running = new Map<string, Child>();
  const specs = new Map<string, ChildSpec>();
  const starting = new Set<Promise<unknown>>();
  const givenUp = new AbortController();
  const { promise: died, reject } = Promise.withResolvers<never>();
  died.catch(() => {}); // who does not wait for it does not care

  const begin = async (spec: ChildSpec): Promise<Child> => {
    const began = performance.now();
    const child = await startChild(spec, givenUp.signal);
    log.info({ process: spec.name, pid: child.pid, startedInMs: Math.round(performance.now() - began) }, 'started');
    running.set(spec.name, child);
    void child.exited.then((exit) => {
      log.info({ process: spec.name, code: exit.code, signal: exit.signal, asked: exit.asked }, 'ended');
      if (!exit.asked && !givenUp.signal.aborted) reject(diedError(spec, exit));
    });
    return child;
  };
  const tracked = (work: Promise<Child>): Promise<Child> => {
    starting.add(work);
    const done = (): void => {
      starting.delete(work);
    };
    work.then(done, done);
    return work;
  };

  return {
    start: (given) => {
      if (givenUp.signal.aborted) throw new Error('the mesh is ending');
      const spec = { ...given, logFile: join(logs, `${given.name.replaceAll(/[^a-z0-9.-]+/gi, '-')}.log`) };
      specs.set(spec.name, spec);
      return tracked(begin(spec));
    },
    get: (name) => running.get(name),
    restart: async (name) => {
      const spec = specs.get(name);
      if (spec === undefined) throw new Error(`no child ${name}`);
      await running.get(name)?.exited;
      return tracked(begin(spec));
    },
    names: () => [...specs.keys()],
    died,
    stop: async () => {
      // Those that are still on their way are ended by this; then all that run are known.
      givenUp.abort();
      await Promise.allSettled([...starting]);
      const layers = [...specs.keys()].reverse();
      for (const name of layers) {
        const child = running.get(name);
        if (child !== undefined) await child.stop();
      }
    },
  };
}
