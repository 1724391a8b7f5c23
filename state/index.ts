/** The live state: what was taken back, published by its sources, followed by all who judge. */
export {
  HEARTBEAT_INTERVAL_S,
  type LiveStateEntry,
  type LiveStateHeartbeat,
  type LiveStateSource,
  type Revocation,
  type RevocationKind,
} from './live-state.ts';
export {
  LIVE_STATE_SOURCES,
  MAX_STATEMENT_BYTES,
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
export { type StateClock, type StateView, type WatchStateOptions, watchState } from './watch/watch-state.ts';
