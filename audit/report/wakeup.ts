/** A bell that one loop waits for and others ring; a ring before the wait is not lost, many rings count once. */

export interface Wakeup {
  readonly ring: () => void;
  /** Resolves at the next ring, at once if it rang since the last wait, or after `timeoutMs`. */
  readonly wait: (timeoutMs?: number) => Promise<void>;
}

export function createWakeup(): Wakeup {
  let rang = false;
  let waiting: (() => void) | null = null;
  return {
    ring() {
      rang = true;
      waiting?.();
    },
    async wait(timeoutMs) {
      if (!rang) {
        await new Promise<void>((resolve) => {
          const timer = timeoutMs === undefined ? null : setTimeout(resolve, timeoutMs);
          waiting = () => {
            if (timer !== null) clearTimeout(timer);
            resolve();
          };
        });
        waiting = null;
      }
      rang = false;
    },
  };
}
