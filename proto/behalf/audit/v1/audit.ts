/**
 * TypeScript shapes of `audit.proto`, as proto-loader gives and takes them (`proto/service.ts`): camelCase, `bytes` as Buffer,
 * integers as numbers, enums as their names, unset messages as null, members of a oneof present only where chosen.
 */
import { type Bidi, defineService, type Unary } from '../../../service.ts';

export type Side = 'SIDE_UNSPECIFIED' | 'SIDE_CALLER' | 'SIDE_CALLEE' | 'SIDE_ENTRY' | 'SIDE_EXIT';

export type Outcome =
  | 'OUTCOME_UNSPECIFIED'
  | 'OUTCOME_FORWARDED'
  | 'OUTCOME_REFUSED'
  | 'OUTCOME_FAILED'
  | 'OUTCOME_ENDED'
  | 'OUTCOME_UNKNOWN';

/** Fields about a person; the log's leaf holds only a salted commitment of them. */
export interface Personal {
  /** 16 random bytes. */
  readonly salt: Buffer;
  /** Pseudonym of the user, or the workload's SPIFFE ID for an own root. */
  readonly subject: string;
  readonly clientId: string;
  readonly consentId: string;
  readonly consentVersion: number;
  readonly grant: string;
  readonly purpose: string;
}

/** One side's account of one call. Fields are commented in audit.proto. */
export interface Hop {
  readonly hopId: Buffer;
  readonly parentHopId: Buffer;
  readonly requestId: Buffer;
  readonly side: Side;
  readonly caller: string;
  readonly callee: string;
  readonly ownSerial: Buffer;
  readonly peerSerial: Buffer;
  readonly method: string;
  readonly route: string;
  readonly protocol: string;
  readonly outcome: Outcome;
  readonly code: string;
  readonly refusedBy: string;
  readonly policies: readonly string[];
  readonly snapshotNumber: number;
  readonly authorityEntry: number;
  readonly caEntry: number;
  readonly httpStatus: number;
  readonly grpcStatusPlusOne: number;
  readonly durationUs: number;
  readonly goesOn: boolean;
  readonly chainId: Buffer;
  readonly txn: string;
  readonly depth: number;
  readonly scope: string;
  readonly carrier: string;
  readonly personal: Personal | null;
  readonly skewMs: number;
  readonly peerAddress: string;
  readonly actors: readonly string[];
  readonly traceId: Buffer;
  readonly outsideTraceId: Buffer;
  readonly exit: string;
  readonly audience: string;
  readonly tokenJti: string;
}

/** Closes a hop that went on after its head. */
export interface HopEnd {
  readonly hopId: Buffer;
  readonly side: Side;
  readonly outcome: Outcome;
  readonly code: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationUs: number;
  readonly grpcStatusPlusOne: number;
  readonly requestId: Buffer;
}

export interface Issuance {
  readonly spiffeId: string;
  readonly serial: Buffer;
  readonly attestor: string;
  readonly selectors: readonly string[];
  readonly notAfterS: number;
  readonly witJti: string;
  readonly operation: string;
  readonly code: string;
}

export interface ConsentChanged {
  readonly change: string;
  readonly version: number;
  readonly scopes: readonly string[];
  readonly untilS: number;
  readonly personal: Personal | null;
  readonly hash: Buffer;
}

export interface Evaluation {
  readonly hopId: Buffer;
  readonly requestId: Buffer;
  readonly service: string;
  readonly action: string;
  readonly resourceType: string;
  readonly allow: boolean;
  readonly code: string;
  readonly policies: readonly string[];
  readonly snapshotNumber: number;
  readonly personal: Personal | null;
  readonly resourceHash: Buffer;
}

export interface PartState {
  readonly state: string;
  readonly detail: string;
}

export interface ConnectionRefused {
  readonly code: string;
  readonly rule: string;
  readonly peerAddress: string;
  readonly peerSerial: Buffer;
  readonly peer: string;
  readonly listener: string;
  /** 0: this one; otherwise how many it stands for that were not written one by one. */
  readonly suppressed: number;
}

export interface KeyChanged {
  readonly use: string;
  readonly kid: string;
  readonly change: string;
}

export interface RevocationIssued {
  readonly kind: string;
  readonly value: string;
  readonly number: number;
  readonly by: string;
  readonly reason: string;
}

/** The authority made a token for an audience outside the mesh, or refused to. */
export interface DeferredChanged {
  readonly change: string;
  readonly id: string;
  readonly holder: string;
  readonly caller: string;
  readonly txn: string;
  readonly newTxn: string;
  readonly scope: string;
  readonly uses: number;
  readonly usesLeft: number;
  readonly untilS: number;
  readonly code: string;
  readonly by: string;
  readonly reason: string;
  readonly work: string;
  readonly personal: Personal | null;
  readonly depth: number;
  readonly actors: readonly string[];
}

export interface TokenIssued {
  readonly exit: string;
  readonly audience: string;
  readonly workload: string;
  readonly jti: string;
  readonly code: string;
  readonly scope: string;
  readonly outsideScope: string;
  readonly expiresS: number;
  readonly policies: readonly string[];
  readonly snapshotNumber: number;
  readonly txn: string;
  readonly personal: Personal | null;
}

/** Root, links and WITs as received, with their signatures. */
export interface ChainBody {
  /** First 16 bytes of SHA-256 over `behalf-slot-v1`, 0x00 and the three values, each after its u32be length (WIRE section 2). */
  readonly chainId: Buffer;
  readonly txnToken: string;
  readonly delegationChain: string;
  readonly delegationCredentials: string;
}

export interface ReportRequest {
  /** Each an encoded `Event`. */
  readonly events: readonly Buffer[];
  readonly chains: readonly ChainBody[];
}
export interface ReportResponse {
  readonly epoch: Buffer;
  readonly storedThrough: number;
}

/** An event's body under its name in the oneof: one member, as `body` says. */
export type EventBody =
  | { readonly body: 'hop'; readonly hop: Hop }
  | { readonly body: 'hopEnd'; readonly hopEnd: HopEnd }
  | { readonly body: 'issuance'; readonly issuance: Issuance }
  | { readonly body: 'consent'; readonly consent: ConsentChanged }
  | { readonly body: 'evaluation'; readonly evaluation: Evaluation }
  | { readonly body: 'part'; readonly part: PartState }
  | { readonly body: 'connectionRefused'; readonly connectionRefused: ConnectionRefused }
  | { readonly body: 'key'; readonly key: KeyChanged }
  | { readonly body: 'revocation'; readonly revocation: RevocationIssued }
  | { readonly body: 'tokenIssued'; readonly tokenIssued: TokenIssued }
  | { readonly body: 'deferred'; readonly deferred: DeferredChanged };

/** One event of a reporter. */
export type Event = EventBody & {
  /** Gap-free a reporter and epoch, from 1. */
  readonly seq: number;
  /** 16 bytes; a new spool begins a new one. */
  readonly epoch: Buffer;
  readonly timeUs: number;
};

/** What the leaves of the log's tree are made of. Fields are commented in audit.proto. */
export interface LogEntry {
  readonly version: number;
  readonly reporter: string;
  readonly event: Buffer;
  readonly personalCommitment: Buffer;
  readonly chainCommitment: Buffer;
}

/** One record as it lies in the log. */
export interface LoggedEvent {
  readonly index: number;
  readonly reporter: string;
  /** The encoded `Event` as stored. */
  readonly event: Buffer;
  /** The log entry that the leaf hash is made of. */
  readonly entry: Buffer;
}

export interface ListHopsRequest {
  readonly subject: string;
  readonly requestId: Buffer;
  readonly hopId: Buffer;
  readonly caller: string;
  readonly callee: string;
  readonly code: string;
  readonly refusedOnly: boolean;
  readonly sinceUs: number;
  readonly untilUs: number;
  readonly limit: number;
  /** Log index of the first record looked at. */
  readonly fromIndex: number;
  readonly txn: string;
}
export interface ListHopsResponse {
  readonly events: readonly LoggedEvent[];
  readonly more: boolean;
}
export interface GetChainRequest {
  readonly chainId: Buffer;
  readonly hopId: Buffer;
}
export interface GetChainResponse {
  readonly chain: ChainBody | null;
  readonly events: readonly LoggedEvent[];
}
export interface ListEventsRequest {
  readonly kind: string;
  /** Log index of the first record looked at. */
  readonly fromIndex: number;
  readonly limit: number;
  readonly sinceUs: number;
}
export interface ListEventsResponse {
  readonly events: readonly LoggedEvent[];
  readonly more: boolean;
}
export type SummaryRequest = Record<never, never>;
export interface ReporterSummary {
  readonly reporter: string;
  readonly epoch: Buffer;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly events: number;
}
export interface SummaryResponse {
  readonly logSize: number;
  readonly hops: number;
  readonly denied: number;
  readonly oneSided: number;
  readonly reporters: readonly ReporterSummary[];
}
export type GetCheckpointRequest = Record<never, never>;
export interface GetCheckpointResponse {
  readonly checkpoint: string;
}
export interface GetInclusionProofRequest {
  readonly index: number;
  readonly treeSize: number;
}
export interface GetInclusionProofResponse {
  readonly checkpoint: string;
  readonly index: number;
  readonly leafHash: Buffer;
  readonly path: readonly Buffer[];
  readonly entry: Buffer;
}

export type FindingKind =
  | 'caller_without_callee'
  | 'callee_without_caller'
  | 'sequence_gap'
  | 'foreign_side'
  | 'sides_disagree'
  | 'chain_mismatch'
  | 'details_overspent';
export interface Finding {
  readonly id: number;
  readonly kind: FindingKind;
  readonly key: string;
  readonly foundUs: number;
  /** 0 while it is open. */
  readonly resolvedUs: number;
  /** JSON. */
  readonly detail: string;
}
export interface ListFindingsRequest {
  readonly openOnly: boolean;
  readonly limit: number;
  readonly afterId: number;
}
export interface ListFindingsResponse {
  readonly findings: readonly Finding[];
  readonly more: boolean;
}

export type AuditIntake = {
  report: Bidi<ReportRequest, ReportResponse>;
};
export type AuditQuery = {
  listHops: Unary<ListHopsRequest, ListHopsResponse>;
  getChain: Unary<GetChainRequest, GetChainResponse>;
  listEvents: Unary<ListEventsRequest, ListEventsResponse>;
  summary: Unary<SummaryRequest, SummaryResponse>;
  getCheckpoint: Unary<GetCheckpointRequest, GetCheckpointResponse>;
  getInclusionProof: Unary<GetInclusionProofRequest, GetInclusionProofResponse>;
  listFindings: Unary<ListFindingsRequest, ListFindingsResponse>;
};

export const auditIntake = defineService<AuditIntake>('behalf/audit/v1/audit.proto', 'behalf.audit.v1.AuditIntake');
export const auditQuery = defineService<AuditQuery>('behalf/audit/v1/audit.proto', 'behalf.audit.v1.AuditQuery');
