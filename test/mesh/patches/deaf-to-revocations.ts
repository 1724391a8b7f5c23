/**
 * The check that the withdrawal drill aims at, switched off in a sidecar: revocations arrive and are kept, but end no call that
 * runs. Preloaded with `--import` by the test that shows that the drill would see it.
 */
import { registerHooks } from 'node:module';

const TARGET = 'sidecar/call/streams.ts';
const PATCHED = `
import * as real from './streams.ts?unpatched';
export * from './streams.ts?unpatched';
export function createRunningCalls(options) {
  return { ...real.createRunningCalls(options), revoke: () => 0 };
}
`;

registerHooks({
  load: (url, context, nextLoad) =>
    url.endsWith(TARGET) ? { format: 'module', source: PATCHED, shortCircuit: true } : nextLoad(url, context),
});
