/** Keeps a supervisor's process until a person ends it, or a part of the mesh ends by itself. */

/** How often it is looked whether the shell of `npm` or `npx` is still there. */
const PARENT_POLL_MS = 500;

export interface Stop {
  /**
   * Aborted at the first SIGINT, SIGTERM or SIGHUP, when the parent process that holds our IPC channel is gone, or, under `npm` and
   * `npx`, when their shell is: they send SIGTERM to that shell alone, which dies of it without telling us.
   */
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
  if (process.env['npm_command'] !== undefined) watchParent(controller);
  return { signal: controller.signal, asked };
}

function watchParent(controller: AbortController): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    controller.abort();
  }, PARENT_POLL_MS);
  timer.unref();
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
