/**
 * The runtime hook: `node --import @behalf/propagate app.js` (within this checkout `behalf/propagate`). It copies the
 * `Delegation-Context` header of each inbound request onto the requests that the app makes while it works for it, so that the app
 * needs no change (WIRE section 5). It judges nothing and sees no token; a header that the app sets itself stays, and only calls to
 * the sidecar's ports (`BEHALF_PORTS`) get one.
 */
import { detachConnections, warnWithoutPorts } from './context.ts';
import { readInboundContexts } from './inbound.ts';
import { copyOntoFetches } from './outgoing-fetch.ts';
import { copyOntoGrpcCalls } from './outgoing-grpc.ts';
import { copyOntoHttpRequests } from './outgoing-http.ts';
import { copyOntoHttp2Requests } from './outgoing-http2.ts';

warnWithoutPorts();
detachConnections();
readInboundContexts();
copyOntoHttpRequests();
copyOntoHttp2Requests();
copyOntoFetches();
copyOntoGrpcCalls();
