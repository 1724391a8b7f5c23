/** Mutual TLS between the mesh's processes, and gRPC over it. */
export { type Caller, requireCaller } from './caller.ts';
export type { ClientTrust } from './channel-credentials.ts';
export { createCrowd, STREAM_LIMITS } from './crowd.ts';
export {
  type CallOptions,
  type ConnectOptions,
  connectService,
  connectUnixService,
  errorOfCall,
  type ServiceClient,
} from './grpc-client.ts';
export { createGrpcServer, type GrpcServer, type GrpcServerOptions, type ProvenPeer } from './grpc-server.ts';
export type { Implementation } from './handlers.ts';
export { parseListen } from './listen-address.ts';
export {
  followIdentity,
  meshClientTlsOptions,
  meshServerTlsOptions,
} from './tls-options.ts';
export { type PeerTrust, verifyPeer } from './verify-peer.ts';
