/** Keeps a supervisor's process until a person ends it, or a part of the mesh ends by itself. */

export interface Stop {
  /** Aborted at the first SIGINT or SIGTERM, or when the parent process that holds our IPC channel is gone. */
  readonly signal: AbortSignal;
  /** Resolves when `signal` is aborted. */
  readonly asked: Promise<void>;
}

/** Listens for the wish to end. A second SIGINT does not cut the end short: children are ended within bounded time anyway. */
export function listenForStop(): Stop {
  const controller = new AbortController();
  const asked = new Promise<void>((resolve) =>
    controller.signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort());
  if (process.channel !== undefined) process.on('disconnect', () => controller.abort());
  return { signal: controller.signal, asked };
}

/** The work's result; null where it failed because it was asked to stop, which is no failure to tell about. */
export async function unlessStopped<T>({ signal }: Stop, work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}
