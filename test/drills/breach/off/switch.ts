/**
 * What the drill tells the processes whose checks it switches off: a file that names the checks which are off now. One file a
 * mesh, read at each check, so that the very same processes show an attempt with exactly its check off and all others on.
 */
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

export interface SwitchState {
  /** Names of `replacements.ts`. */
  readonly off: readonly string[];
  /** What a check that is off would have had to find out by itself. */
  readonly facts: object;
}

export const ALL_ON: SwitchState = { off: [], facts: {} };

export function setSwitch(file: string, state: SwitchState): void {
  writeFileSync(file, JSON.stringify(state));
}

/** Arguments for Node that load the hook: `capture` is the file that gets each chain a sidecar received. */
export function hookArgs({
  switchFile,
  capture,
}: {
  readonly switchFile: string | null;
  readonly capture: string | null;
}): readonly string[] {
  if (switchFile === null && capture === null) return [];
  const url = pathToFileURL(new URL('hook.ts', import.meta.url).pathname);
  if (switchFile !== null) url.searchParams.set('switch', switchFile);
  if (capture !== null) url.searchParams.set('capture', capture);
  return ['--import', url.href];
}
