/** Which endpoint gets the next call: the least loaded, in turn among equals; those in trouble only if all are. */

let turn = 0;

/** @param candidates at least one */
export function chooseLeastLoaded<T>(
  candidates: readonly T[],
  loadOf: (candidate: T) => number,
  inTrouble: (candidate: T) => boolean,
): T {
  if (candidates.length === 1) return candidates[0] as T;
  turn = (turn + 1) % 0x7fffffff;
  let best: T | null = null;
  let bestLoad = 0;
  for (let i = 0; i < candidates.length; i += 1) {
    const candidate = candidates[(turn + i) % candidates.length] as T;
    if (inTrouble(candidate)) continue;
    const load = loadOf(candidate);
    if (best === null || load < bestLoad) {
      best = candidate;
      bestLoad = load;
    }
  }
  return best ?? (candidates[turn % candidates.length] as T);
}
