/**
 * The seam between the steps of a call (`call/`) and the bytes (`wire/`, `listen/`): what the one asks of the other, and
 * nothing else (DESIGN section 4). No socket and no Node `http` object crosses it, so that the byte engine can be replaced.
 *
 * The order in one call: a judge (`onInbound`, `onOutbound`, `onEntry`), `onSend` for each attempt to a peer, `onHead` once,
 * `onEnd` once. `onHead` is awaited before the answer's head is released: no audit, no access.
 */
import type { ParsedChain } from '../../delegation/chain/index.ts';
import type { BehalfError, ErrorCode } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import type { IssuedIdentity } from '../../identity/own/own-identity.ts';
import type { PeerClock } from '../wire/peer-clock.ts';
import type { AnswerHead, HeaderList, RequestHead } from './head.ts';

/** A connection from a peer on the mTLS port, as proved before its first byte was read. */
export interface PeerFacts {
  readonly spiffeId: SpiffeId;
  readonly serialHex: string;
  readonly certificateS256: string;
  /** When its certificate was really issued, without the backdating, and its end. */
  readonly issuedS: number;
  readonly notAfterS: number;
  readonly address: string;
  /** Serial of the certificate that we showed on this connection. */
  readonly ownSerialHex: string;
  /** base64url SHA-256 of it. */
  readonly ownCertificateS256: string;
  /** Chains verified on this connection that the peer may name by slot; null where slots are not spoken. */
  readonly slots: ReceivedSlots | null;
  /** How far its clock was measured to be ahead on this connection. */
  readonly clock: PeerClock;
}

/** Receiver's side of the slots of one connection (WIRE section 2). */
export interface ReceivedSlots {
  get(slot: string): ParsedChain | null;
  /** Whether the chain is kept, and may so be acknowledged. */
  put(slot: string, chain: ParsedChain, endS: number): boolean;
}

/** A connection to a peer, chosen for one attempt. */
export interface SendFacts {
  readonly peerSerialHex: string;
  readonly peerCertificateS256: string;
  readonly peerIssuedS: number;
  /** The identity that this connection was made with: links sent on it are signed with its WIT (WIRE section 1). */
  readonly identity: IssuedIdentity;
  /** Slots that the peer has acknowledged on this connection. */
  readonly slots: SentSlots;
  readonly clock: PeerClock;
}

/** Sender's side of the slots of one connection. */
export interface SentSlots {
  acknowledged(slot: string): boolean;
  acknowledge(slot: string): void;
}

/** A service that this one calls. */
export interface Peer {
  readonly name: string;
  readonly id: SpiffeId;
  /** From the configuration; null: those of the policy snapshot. */
  readonly endpoints: readonly string[] | null;
}

/** A destination outside the mesh, as the policy has it: where it is, and what proves that it is it. */
export interface ExitTarget {
  readonly name: string;
  /** Host (no brackets) and port to connect to, and the authority (RFC 3986 section 3.2) that requests name. */
  readonly host: string;
  readonly port: number;
  readonly authority: string;
  /** Null for an origin without TLS. `ca` in PEM, null for those of the machine; `serverName` null for the host. */
  readonly tls: { readonly ca: string | null; readonly serverName: string | null } | null;
  readonly privateAddresses: boolean;
}

/** Where a call goes on to. */
export type Target =
  | { readonly kind: 'app' }
  | { readonly kind: 'peer'; readonly peer: Peer }
  | { readonly kind: 'exit'; readonly exit: ExitTarget };

/** Who is told of a refusal: peers get `Delegation-Error`, clients outside may get less than the code. */
export type Audience = 'mesh' | 'app' | 'outside';

/** One call under way, as `wire/` carries it back to the hooks. Its facts are theirs alone. */
export interface Call {
  readonly audience: Audience;
  /** Base64url of 12 bytes: what a refusal is on record under. */
  readonly hop: string;
  /** Set by `wire/`: ends the running call with a code, in the form that its protocol has for that. */
  end: ((error: BehalfError) => void) | null;
  /** Fields beside a refusal with that code to a client outside; null for other calls. */
  readonly challenge: ((code: ErrorCode) => HeaderList) | null;
  /** Why it must end, also where that came up before `end` was set: whoever sets `end` looks here. */
  ending: BehalfError | null;
}

/** Where a request from outside comes from, as far as the listener knows (`listen/entry-from.ts`). */
export interface EntryFrom {
  /** Of the client; of the nearest proxy that is not ours, where such stand between. */
  readonly address: string;
  /** `https://host` as the client saw it; null where the request does not tell. UNTRUSTED, unless it is configured. */
  readonly origin: string | null;
  /** base64url SHA-256 of the certificate that the client proved to hold; null where it showed none. */
  readonly certificateS256: string | null;
  /** What a proxy of ours said that makes no sense; such a request is refused. */
  readonly defect: BehalfError | null;
}

export type Verdict =
  | { readonly kind: 'forward'; readonly call: Call; readonly target: Target; readonly head: RequestHead }
  | { readonly kind: 'refuse'; readonly call: Call; readonly error: BehalfError }
  /** Facts about the entry itself, such as its metadata: no call of anyone, and not on record. */
  | { readonly kind: 'answer'; readonly head: AnswerHead; readonly body: Buffer };

/** What became of a call when its answer's head, the refusal or the failure was known. */
export interface Answered {
  readonly outcome: 'forwarded' | 'refused' | 'failed';
  readonly code: ErrorCode | null;
  /** Whether the code came from the peer. */
  readonly byPeer: boolean;
  /** 0 while there is no answer yet. */
  readonly httpStatus: number;
  /** As far as known. */
  readonly grpcStatus: number | null;
  readonly goesOn: boolean;
}

/** What became of a call that went on after `onHead`. */
export interface Ended {
  readonly outcome: 'forwarded' | 'failed' | 'ended';
  readonly code: ErrorCode | null;
  readonly grpcStatus: number | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface CallHooks {
  /** A call from a peer to the own app. */
  onInbound(head: RequestHead, peer: PeerFacts): Verdict | Promise<Verdict>;
  /** A call of the own app; `peer` is null on the shared port, where the head's authority names it. */
  onOutbound(head: RequestHead, peer: Peer | null): Verdict | Promise<Verdict>;
  /** A call of the own app on the port of an exit. */
  onExit(head: RequestHead, exit: string): Verdict | Promise<Verdict>;
  /** A request from outside the mesh. */
  onEntry(head: RequestHead, from: EntryFrom): Verdict | Promise<Verdict>;
  /** Fields for one attempt on one connection. @throws BehalfError: the call is refused with its code */
  onSend(call: Call, connection: SendFacts): HeaderList;
  /** Fields that go onto the answer of a call of `onInbound`, such as `Delegation-Slot`. */
  answerFields(call: Call): HeaderList;
  /** The answer of the peer to what `onSend` made: takes slots, gives the peer's own code if it refused. */
  onPeerAnswer(call: Call, connection: SendFacts, head: AnswerHead): ErrorCode | null;
  /** @throws BehalfError `audit_unavailable`: the answer is withheld */
  onHead(call: Call, answered: Answered): Promise<void>;
  /** Called once a call, after `onHead`, also where nothing went on (`ended` null). */
  onEnd(call: Call, ended: Ended | null): void;
  /** Why a request with these trailers is refused, or null: the mesh's own fields are never trailers (WIRE section 2). */
  trailerDefect(call: Call, trailers: HeaderList): BehalfError | null;
  /** Fields of mesh origin taken out: of answers, trailers and interim answers in either direction. */
  strip(headers: HeaderList): HeaderList;
}

/** A connection that ended before any call. */
export interface ConnectionRefusal {
  readonly listener: 'mesh' | 'local' | 'entry';
  readonly error: BehalfError;
  readonly address: string;
  readonly peer: string;
  readonly peerSerialHex: string;
}
