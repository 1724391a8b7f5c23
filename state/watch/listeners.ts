/** Who wants to know of one kind of news. */
import type { Logger } from 'pino';

export interface Listeners<A extends readonly unknown[]> {
  /** Gives its own undoing. */
  add(listener: (...news: A) => void): () => void;
  /** Tells all, at once. One that throws is logged and keeps the others from nothing. */
  tell(...news: A): void;
}

export function createListeners<A extends readonly unknown[]>(log: Logger): Listeners<A> {
  const all = new Set<(...news: A) => void>();
  return {
    add(listener) {
      all.add(listener);
      return () => all.delete(listener);
    },
    tell(...news) {
      for (const listener of all) {
        try {
          listener(...news);
        } catch (error) {
          log.error({ err: error }, 'a listener of the state failed');
        }
      }
    },
  };
}
