/** The live state: what was taken back, published by its sources, followed by all who judge. */
export type {
  LiveStateEntry,
  LiveStateHeartbeat,
  LiveStateSource,
  Revocation,
} from './live-state.ts';
export {
  LIVE_STATE_SOURCES,
  parseEntry,
  parseHeartbeat,
  verifyEntry,
  verifyHeartbeat,
} from './parse-live-state.ts';
export {
  type LiveStateSourceHandle,
  type LiveStateSourceOptions,
  openLiveStateSource,
} from './source/open-live-state-source.ts';
export type { StateDefect } from './watch/live-state-receiver.ts';
export type { ProvenRun } from './watch/source-ledger.ts';
export { type StateClock, type StateView, type WatchStateOptions, watchState } from './watch/watch-state.ts';
