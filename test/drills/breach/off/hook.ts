/**
 * Preloaded with `--import` into the processes of the drill's mesh. With `?switch=FILE` each check that the drill aims at can be
 * switched off by that file; with `?capture=FILE` a sidecar is compromised: it writes down each chain that it receives. The
 * product has no such switch: modules are replaced as they are loaded, here and nowhere else.
 */
import { registerHooks } from 'node:module';
import { CAPTURING, REPLACEMENTS, sourceOf } from './replacements.ts';

const parameters = new URL(import.meta.url).searchParams;
const files = { switchFile: parameters.get('switch'), capture: parameters.get('capture') };

registerHooks({
  load(url, context, nextLoad) {
    const target = Object.keys(REPLACEMENTS).find((path) => url.endsWith(`/${path}`));
    const isWanted = target !== undefined && (files.switchFile !== null || target === CAPTURING);
    return isWanted
      ? { format: 'module', source: sourceOf(target, files), shortCircuit: true }
      : nextLoad(url, context);
  },
});
