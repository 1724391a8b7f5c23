/** The two streams that every part that judges follows: the policy snapshot and the live state. */

export { createRevokedPeers } from './revoked-peers.ts';
export { type CollectorState, type ServeStreamsOptions, serveStreams } from './serve-streams.ts';
