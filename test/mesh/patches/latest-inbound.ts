/**
 * The mistake that Behalf must never make, patched into a sidecar: a call out of the app goes on for the latest inbound request,
 * whatever its context says. Preloaded with `--import` by the test that shows that the mistake would be seen.
 */
import { registerHooks } from 'node:module';

const TARGET = 'sidecar/call/context/context.ts';
const PATCHED = `
import * as real from './context.ts?unpatched';
export * from './context.ts?unpatched';
export function createContextTable(options) {
  const table = real.createContextTable(options);
  let latest = null;
  return {
    ...table,
    open(inbound) {
      latest = inbound;
      return table.open(inbound);
    },
    resolve(headers) {
      const found = table.resolve(headers);
      return found === null ? null : { ...found, inbound: latest };
    },
  };
}
`;

registerHooks({
  load: (url, context, nextLoad) =>
    url.endsWith(TARGET) ? { format: 'module', source: PATCHED, shortCircuit: true } : nextLoad(url, context),
});
