/** One call as the steps of `call/` know it: what stands behind the `Call` that `wire/` carries around. */
import type {
  AuthorizationDetail,
  DetailTypes,
  OutgoingChain,
  RevocableFacts,
  VerifiedChain,
  VerifiedRoot,
} from '../../delegation/index.ts';
import type { BehalfError } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import type { RouteDemands } from '../../policy/index.ts';
import type { HopRecord } from '../report/hop-record.ts';
import type { Audience, Call, Peer } from './seam.ts';

export interface MeshCall extends Call {
  /** One account a side that we write; two where an entry hands a request straight on to a peer. */
  readonly records: HopRecord[];
  /** Handle that the app was given for it. */
  handle: string | null;
  /** Trace id that it brought, noted in the table of contexts; null where none was. */
  traceId: string | null;
  /** Chain to acknowledge by slot on the answer. */
  slot: string | null;
  /** Nonce for the client's next DPoP proof, for the answer (RFC 9449 section 8.2). */
  proofNonce: string | null;
  /** Workload that made it, of a call from a peer; null for others. */
  peer: SpiffeId | null;
  outgoing: Outgoing | null;
  /** What a revocation can hit, for calls that run. */
  revocable: RevocableFacts | null;
  /** Whether the authority's live state bears on it. */
  delegated: boolean;
  startedS: number;
  /** Whether it may still go on under another snapshot; null where that is not ours to judge. */
  stillAllowed: (() => BehalfError | null) | null;
}

/** What a call to a peer is made of. */
export interface Outgoing {
  readonly peer: Peer;
  readonly parent: VerifiedRoot | VerifiedChain | null;
  readonly narrowTo: readonly string[] | null;
  /** The entries of details that the app asked for; null where it asked for nothing. */
  readonly askedDetails: readonly AuthorizationDetail[] | null;
  readonly detailTypes: DetailTypes;
  /** The link that took a share of what can be spent, and who may be sent it again. */
  shared: { readonly certificateS256: string; readonly witS256: string; readonly chain: OutgoingChain } | null;
  /** Limits of the edge on who follows; null where it sets none. */
  readonly maxDepth: number | null;
  readonly next: readonly SpiffeId[] | null;
  /** What the route called demands of the link. */
  readonly demands: RouteDemands;
  readonly record: HopRecord;
  readonly parentHop: string | null;
  readonly request: string;
  attempts: number;
}

export function newMeshCall(
  audience: Audience,
  record: HopRecord,
  nowS: number,
  challenge: Call['challenge'] = null,
): MeshCall {
  return {
    audience,
    get hop() {
      return record.hop.hop;
    },
    end: null,
    challenge,
    ending: null,
    records: [record],
    handle: null,
    traceId: null,
    slot: null,
    proofNonce: null,
    peer: null,
    outgoing: null,
    revocable: null,
    delegated: false,
    startedS: nowS,
    stillAllowed: null,
  };
}
