/** The two streams that every part that judges follows: the policy snapshot and the live state. */
export { type CollectorState, type ServeStreamsOptions, serveStreams } from './serve-streams.ts';
