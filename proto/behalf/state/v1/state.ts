/** TypeScript shapes of `state.proto`, as `proto/service.ts` loads them. */
import { type Bidi, defineService, type ServerStream, type Unary } from '../../../service.ts';

/** `{payload, kid, signature}` as relayed; what it states is known only after its signature was checked. */
export interface SignedStatement {
  readonly payload: Buffer;
  readonly kid: string;
  readonly signature: Buffer;
}

export interface PublishLiveStateRequest {
  readonly item?: 'entry' | 'heartbeat';
  readonly entry?: SignedStatement | null;
  readonly heartbeat?: SignedStatement | null;
}

export interface PublishLiveStateResponse {
  readonly storedThrough: number;
}

export interface WatchSnapshotRequest {
  readonly serving: number;
}

export interface WatchSnapshotResponse {
  readonly snapshot: SignedStatement | null;
}

export interface WatchLiveStateRequest {
  readonly knownThrough: { readonly [source: string]: number };
}

export interface WatchLiveStateResponse {
  readonly source: string;
  readonly item?: 'entry' | 'heartbeat';
  readonly entry?: SignedStatement | null;
  readonly heartbeat?: SignedStatement | null;
}

export interface PutSnapshotRequest {
  readonly snapshot: SignedStatement | null;
}

export interface PutSnapshotResponse {
  readonly number: number;
}

export type State = {
  publishLiveState: Bidi<PublishLiveStateRequest, PublishLiveStateResponse>;
  watchSnapshot: Bidi<WatchSnapshotRequest, WatchSnapshotResponse>;
  watchLiveState: ServerStream<WatchLiveStateRequest, WatchLiveStateResponse>;
  putSnapshot: Unary<PutSnapshotRequest, PutSnapshotResponse>;
};

export const state = defineService<State>('behalf/state/v1/state.proto', 'behalf.state.v1.State');
