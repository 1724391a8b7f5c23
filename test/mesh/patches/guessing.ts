/**
 * What association must never be, patched into a sidecar: every call out of the app goes on for the latest inbound request, also
 * one that names none. Preloaded with `--import` by the test that shows that the interleave drill would see it.
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
    resolve: () => (latest === null ? null : { inbound: latest, carrier: 'context' }),
  };
}
`;

registerHooks({
  load: (url, context, nextLoad) =>
    url.endsWith(TARGET) ? { format: 'module', source: PATCHED, shortCircuit: true } : nextLoad(url, context),
});
