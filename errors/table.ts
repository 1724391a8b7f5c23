/**
 * The one table of refusals: stable code, HTTP and gRPC answer, meaning, and what to do (WIRE.md section 4 and the parts'
 * own). Codes are never renamed or reused. `docs/errors.md` is made from it.
 */

/** gRPC status codes that refusals use, by their number in the gRPC specification. */
export const GRPC_STATUS = {
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

export type GrpcStatusName = keyof typeof GRPC_STATUS;

/** Who a code is about: the delegation on the wire, the peer, the request, the mesh's own state, or an operator's input. */
export type ErrorGroup = 'delegation' | 'entry' | 'peer' | 'request' | 'availability' | 'identity' | 'operator';

export interface ErrorEntry {
  readonly group: ErrorGroup;
  readonly http: number;
  readonly grpc: GrpcStatusName;
  /** One sentence: what was seen. */
  readonly meaning: string;
  /** One sentence: what the person who reads it can do. */
  readonly action: string;
}

const entry = (group: ErrorGroup, http: number, grpc: GrpcStatusName, meaning: string, action: string): ErrorEntry => ({
  group,
  http,
  grpc,
  meaning,
  action,
});

export const ERROR_TABLE = {
  // The delegation chain (WIRE.md section 4)
  delegation_malformed: entry(
    'delegation',
    401,
    'UNAUTHENTICATED',
    'A mesh header or one of its objects is not exactly of the form that WIRE.md gives.',
    'Find the sender by the hop; a sidecar never sends this, so something between or beside them does.',
  ),
  delegation_bad_signature: entry(
    'delegation',
    401,
    'UNAUTHENTICATED',
    'A signature does not verify, its s is not in the lower half, or its key or issuer is not known.',
    'If it began with a key rotation, check that every part has the current bundle; otherwise treat it as tampering.',
  ),
  delegation_wrong_audience: entry(
    'delegation',
    401,
    'UNAUTHENTICATED',
    'The last link hands to another workload (or `once` names another pod, or the root is for another mesh).',
    'Check where the caller sends: a chain is good only at the workload that its last link names.',
  ),
  delegation_holder_mismatch: entry(
    'delegation',
    401,
    'UNAUTHENTICATED',
    'A link was not signed by the workload that held the chain, or the peer is not the last signer.',
    'Treat it as a stolen chain: look at the peer in the hop event.',
  ),
  delegation_broken_chain: entry(
    'delegation',
    401,
    'UNAUTHENTICATED',
    'The links do not follow from each other: a hash, depth, time, allowed next hop or repeated id does not fit.',
    'Treat it as tampering unless a peer runs another version.',
  ),
  delegation_expired: entry(
    'delegation',
    401,
    'UNAUTHENTICATED',
    'A root or a link is past its end.',
    'If the skew in the detail is more than a few seconds, mend that clock; otherwise the call took longer than the delegation lives.',
  ),
  delegation_not_yet_valid: entry(
    'delegation',
    401,
    'UNAUTHENTICATED',
    'A root, link or WIT begins further ahead of our clock than is allowed.',
    'Compare both clocks, which the detail names, and mend the wrong one.',
  ),
  delegation_unsupported: entry(
    'delegation',
    401,
    'UNAUTHENTICATED',
    'The chain uses a version or an algorithm that this sidecar does not take.',
    'Update the older of the two sidecars.',
  ),
  delegation_missing: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'Nothing says on whose authority the call runs: it brings no credential to an entry, or no context on an edge that is not the workload’s own.',
    'At an entry, send an access token. Inside, copy `Delegation-Context` (or `baggage`) onto outgoing calls, or mark the edge `own` in the policy.',
  ),
  delegation_scope_widened: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'A link or the app asks for scope or detail that its parent does not have.',
    'Ask for a subset of what the request came with.',
  ),
  delegation_loop: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'A workload stands in the chain more than twice, or twice in a row.',
    'Find the services that call each other in a circle.',
  ),
  delegation_wrong_route: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'The last link is bound to another route than the one called.',
    'The caller must make a new link for this route.',
  ),
  delegation_revoked: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'Something that the chain names was revoked.',
    'See the revocation in the hop event; the user or workload has to obtain authority anew.',
  ),
  delegation_replayed: entry(
    'delegation',
    409,
    'ALREADY_EXISTS',
    'A hop id or a once-only link was seen before.',
    'A retry must carry a new hop id; otherwise treat it as a replay.',
  ),
  delegation_too_large: entry(
    'delegation',
    431,
    'RESOURCE_EXHAUSTED',
    'The chain has more links or bytes than the limits allow.',
    'Shorten the call path or the scope list.',
  ),
  delegation_too_deep: entry(
    'delegation',
    431,
    'RESOURCE_EXHAUSTED',
    'The chain is deeper than its depth limit.',
    'Shorten the call path, or raise `maxDepth` of the edge that set the limit; where none did it is 8.',
  ),
  delegation_replay_store_full: entry(
    'delegation',
    503,
    'RESOURCE_EXHAUSTED',
    'Too many once-only ids of that peer are being remembered.',
    'Retry later; look for a peer that floods.',
  ),
  delegation_refused: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'The mesh refused the request; the exact code is on record under the hop.',
    'Give the hop id to the operators.',
  ),
  insufficient_scope: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'What is left of the scope does not cover the route.',
    'The user has to consent to the missing scope, or the policy stops handing it on too early.',
  ),
  consent_withdrawn: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'The user has withdrawn or narrowed the consent that the chain rests on.',
    'Nothing: this is the user’s decision. The application may ask for consent again.',
  ),
  policy_denied: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'No policy permits this call, or one forbids it.',
    'Ask `behalf explain` which policy is missing, and change the policy if the call is right.',
  ),
  step_up_required: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'The route wants a stronger sign-in than the user has made.',
    'Nothing answers this yet: the code is kept for routes that will ask for a stronger sign-in.',
  ),
  // How a call out of an app finds its delegation (WIRE.md section 5)
  context_ambiguous: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'The context carriers of the call resolve to different inbound requests.',
    'Copy the context of one request only.',
  ),
  context_unknown: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'The context of the call is unknown, malformed or ended.',
    'Make the call while its inbound request runs, or within the linger time after it.',
  ),
  context_too_weak: entry(
    'delegation',
    403,
    'PERMISSION_DENIED',
    'The app named the request of the call in a weaker way than the policy demands.',
    'Pass on `Delegation-Context` (or `baggage`), as docs/context.md shows; `minContext` in mesh.yaml is what is demanded.',
  ),
  context_limit: entry(
    'delegation',
    503,
    'RESOURCE_EXHAUSTED',
    'Too many inbound requests, or trace ids of the last minute, are held for another to be let in.',
    'Retry later; look for requests that never end, or for a rate above what the trace id can be used for.',
  ),
  // Entry
  entry_token_invalid: entry(
    'entry',
    401,
    'UNAUTHENTICATED',
    'The presented access token is not one that the authority takes.',
    'Obtain a new access token.',
  ),
  entry_token_expired: entry(
    'entry',
    401,
    'UNAUTHENTICATED',
    'The presented access token is past its end.',
    'Refresh the access token.',
  ),
  entry_proof_invalid: entry(
    'entry',
    401,
    'UNAUTHENTICATED',
    'The proof of possession is missing or does not fit the token.',
    'Sign a proof with the key that the token is bound to.',
  ),
  entry_nonce_needed: entry(
    'entry',
    401,
    'UNAUTHENTICATED',
    'The proof of possession has to carry the nonce of this answer (RFC 9449 section 9).',
    'Sign a new proof with the value of `DPoP-Nonce`; OAuth libraries do so by themselves.',
  ),
  entry_ambiguous: entry(
    'entry',
    400,
    'INVALID_ARGUMENT',
    'The request carries more than one credential.',
    'Send exactly one.',
  ),
  // Peers
  peer_unauthenticated: entry(
    'peer',
    401,
    'UNAUTHENTICATED',
    'The peer presented no certificate.',
    'Call through a sidecar.',
  ),
  peer_untrusted: entry(
    'peer',
    401,
    'UNAUTHENTICATED',
    'The peer’s certificate does not lead to a root of this mesh or breaks the X.509-SVID profile.',
    'See the rule and serial in the detail; issue the peer a certificate from this mesh’s CA.',
  ),
  peer_revoked: entry(
    'peer',
    401,
    'UNAUTHENTICATED',
    'The peer’s certificate or workload was revoked.',
    'See who revoked it and why before you let it attest again.',
  ),
  local_peer_refused: entry(
    'peer',
    403,
    'PERMISSION_DENIED',
    'The local process is not run by a user that this port is for.',
    'Run the app under the uid that the sidecar’s configuration names.',
  ),
  exit_untrusted: entry(
    'peer',
    502,
    'PERMISSION_DENIED',
    'The destination outside the mesh did not prove the name that the policy gives it; nothing was sent to it.',
    'See the rule and its certificate. If it is right, mend `tls` of the exit in the policy; otherwise somebody is in between.',
  ),
  exit_address_refused: entry(
    'peer',
    403,
    'PERMISSION_DENIED',
    'The name of a destination outside the mesh stands for an address that is not public; it was not called.',
    'If it is meant, say `privateAddresses: true` in the policy; otherwise somebody answers wrongly for that name.',
  ),
  // Requests
  request_malformed: entry(
    'request',
    400,
    'INVALID_ARGUMENT',
    'The request is not well formed.',
    'See the detail for the member or header at fault.',
  ),
  details_unsupported: entry(
    'request',
    400,
    'INVALID_ARGUMENT',
    'The request names authorization details of a type that is not registered, or out of its type’s form.',
    'See docs/rich-authorization.md for the types and their forms; register further ones in the policy.',
  ),
  details_exhausted: entry(
    'request',
    403,
    'PERMISSION_DENIED',
    'Too little is left of a spendable authorization detail, such as a payment’s limit.',
    'Ask for less, or have the user consent to more; what was handed on is not given back.',
  ),
  not_deferrable: entry(
    'request',
    403,
    'PERMISSION_DENIED',
    'The work may not be put off: the user has not agreed to it, or not so far, or it is nothing that can be put off.',
    'Register `deferrable` for the client and have the user tick it; ask for no more time and uses than that; see docs/deferred-work.md.',
  ),
  deferred_unknown: entry(
    'request',
    403,
    'PERMISSION_DENIED',
    'There is no deferred work with this reference for this workload.',
    'Show the reference that this workload got when it put the work off; another workload cannot take it up.',
  ),
  deferred_exhausted: entry(
    'request',
    403,
    'PERMISSION_DENIED',
    'Each use of the deferred work has been taken.',
    'A use is one root, whether or not its answer arrived; ask for more `uses` when the work is put off.',
  ),
  deferred_expired: entry(
    'request',
    403,
    'PERMISSION_DENIED',
    'The time in which the deferred work could be taken up is over.',
    'Ask for a longer `maxS` within what the user agreed to; the user has to ask for the work anew.',
  ),
  route_unknown: entry(
    'request',
    403,
    'PERMISSION_DENIED',
    'No route of the service fits the method and path, or no peer fits the host.',
    'Add the operation to the service’s OpenAPI document and publish the policy.',
  ),
  rate_limited: entry(
    'request',
    429,
    'RESOURCE_EXHAUSTED',
    'More calls came than the limit allows.',
    'Slow down; the RateLimit fields say when.',
  ),
  quota_exceeded: entry(
    'request',
    429,
    'RESOURCE_EXHAUSTED',
    'A quota is used up.',
    'Wait for the next period or ask for a higher quota.',
  ),
  not_found: entry('request', 404, 'NOT_FOUND', 'There is nothing of that name.', 'Check the name or id.'),
  // Availability
  trust_unavailable: entry(
    'availability',
    503,
    'UNAVAILABLE',
    'There is no identity or no key set yet to judge with.',
    'Check that the sidecar reaches the CA.',
  ),
  revocation_stale: entry(
    'availability',
    503,
    'UNAVAILABLE',
    'The live state of a source is older than its limit, so withdrawals might be missed.',
    'Bring back the collector or the source that the detail names.',
  ),
  snapshot_stale: entry(
    'availability',
    503,
    'UNAVAILABLE',
    'There is no policy snapshot, or it is past its own end.',
    'Publish a snapshot; check that the sidecar reaches the collector.',
  ),
  audit_unavailable: entry(
    'availability',
    503,
    'UNAVAILABLE',
    'The hop could not be put on record, so the call was not made.',
    'Free disk space or bring the collector back; the sidecar goes on by itself.',
  ),
  overloaded: entry(
    'availability',
    503,
    'UNAVAILABLE',
    'A bounded queue is full.',
    'Retry later; add capacity if it lasts.',
  ),
  upstream_unavailable: entry(
    'availability',
    503,
    'UNAVAILABLE',
    'The next sidecar or the app could not be reached or broke off.',
    'Check that it runs and listens.',
  ),
  upstream_timeout: entry(
    'availability',
    504,
    'DEADLINE_EXCEEDED',
    'The next sidecar or the app did not answer in time.',
    'Check its load, or raise the timeout.',
  ),
  stream_expired: entry(
    'availability',
    504,
    'DEADLINE_EXCEEDED',
    'The stream reached the longest life that a stream may have.',
    'Open a new stream.',
  ),
  internal: entry(
    'availability',
    500,
    'INTERNAL',
    'Something failed that should not; the call was denied.',
    'See the log at that time and report it.',
  ),
  // Identity and the CA
  spiffe_id_invalid: entry(
    'identity',
    400,
    'INVALID_ARGUMENT',
    'The value is not a canonical SPIFFE ID or trust domain.',
    'See the detail for the character or part at fault.',
  ),
  svid_invalid: entry(
    'identity',
    401,
    'UNAUTHENTICATED',
    'The certificate breaks the X.509-SVID profile or its path does not validate.',
    'See the rule and the certificate’s place in the detail.',
  ),
  wit_invalid: entry(
    'identity',
    401,
    'UNAUTHENTICATED',
    'The workload identity token is malformed, expired or not signed by its domain’s key.',
    'Renew the workload’s identity.',
  ),
  bundle_invalid: entry(
    'identity',
    400,
    'INVALID_ARGUMENT',
    'The trust bundle is not well formed.',
    'Take the bundle file from the CA again.',
  ),
  csr_invalid: entry(
    'identity',
    400,
    'INVALID_ARGUMENT',
    'The certificate request is malformed, its signature fails, or its key is too weak.',
    'Make a new P-256 key and request.',
  ),
  statement_untrusted: entry(
    'identity',
    401,
    'UNAUTHENTICATED',
    'A signed statement is not from a key that may make it.',
    'Check that the bundle is current; otherwise treat the relay as hostile.',
  ),
  attestation_failed: entry(
    'identity',
    401,
    'UNAUTHENTICATED',
    'The CA could not tell who the workload is.',
    'See the detail: token unknown, used or expired, or no registration entry fits.',
  ),
  entry_not_found: entry(
    'identity',
    403,
    'PERMISSION_DENIED',
    'No registration entry fits the attested workload.',
    'Create an entry for its selectors.',
  ),
  issuer_expired: entry(
    'identity',
    503,
    'UNAVAILABLE',
    'The issuing certificate ends too soon to issue under it.',
    'Rotate the issuing intermediate.',
  ),
  // Operators
  config_invalid: entry(
    'operator',
    400,
    'INVALID_ARGUMENT',
    'The configuration has an unknown key, a wrong value or misses one.',
    'See the key named in the message.',
  ),
  usage: entry('operator', 400, 'INVALID_ARGUMENT', 'The command was called wrongly.', 'See `--help`.'),
  port_in_use: entry(
    'operator',
    503,
    'UNAVAILABLE',
    'Another process listens on that port.',
    'Stop it or choose another port.',
  ),
  data_directory_unusable: entry(
    'operator',
    503,
    'UNAVAILABLE',
    'The data directory cannot be written or belongs to another user.',
    'Choose another directory or mend its rights.',
  ),
  process_died: entry(
    'operator',
    503,
    'UNAVAILABLE',
    'A part of the mesh ended by itself.',
    'Its log, which the message names, says why; the other parts were ended with it.',
  ),
  snapshot_invalid: entry(
    'operator',
    400,
    'INVALID_ARGUMENT',
    'The policy, a route map or the snapshot made of them is not valid.',
    'Mend the place that the message names.',
  ),
  log_inconsistent: entry(
    'operator',
    500,
    'INTERNAL',
    'The log does not match its checkpoint.',
    'Keep a copy, and find who could write to it: the place is named.',
  ),
  key_unusable: entry(
    'operator',
    400,
    'INVALID_ARGUMENT',
    'A key or its file cannot be opened or is not of a kind that serves here.',
    'Check the passphrase and the file.',
  ),
} as const satisfies Record<string, ErrorEntry>;

/** A stable snake_case code; the union to switch on. */
export type ErrorCode = keyof typeof ERROR_TABLE;

/** Whether a text, such as a `Delegation-Error` header, is one of our codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, text);
}
