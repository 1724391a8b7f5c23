/**
 * The fields of every event body, by number: the one table that the decoder and the encoder of the rarer bodies read. It says
 * what audit.proto says; a test holds both together. The encoder of `Hop` and `HopEnd` is written out in `encode-event.ts`.
 */
import type { EventBody, Outcome, Side } from '../../proto/behalf/audit/v1/audit.ts';

export type FieldKind = 'uint' | 'sint' | 'bool' | 'string' | 'bytes' | 'strings' | 'side' | 'outcome' | 'personal';

export interface Field {
  readonly name: string;
  readonly number: number;
  readonly kind: FieldKind;
}

/** Names of enum values, by their number. */
export const SIDES: readonly Side[] = ['SIDE_UNSPECIFIED', 'SIDE_CALLER', 'SIDE_CALLEE', 'SIDE_ENTRY', 'SIDE_EXIT'];
export const OUTCOMES: readonly Outcome[] = [
  'OUTCOME_UNSPECIFIED',
  'OUTCOME_FORWARDED',
  'OUTCOME_REFUSED',
  'OUTCOME_FAILED',
  'OUTCOME_ENDED',
  'OUTCOME_UNKNOWN',
];

/** `name:kind` from field 1 on, without holes. */
function fields(...described: string[]): readonly Field[] {
  return described.map((text, index) => {
    const [name = '', kind = ''] = text.split(':');
    return { name, number: index + 1, kind: kind as FieldKind };
  });
}

export const PERSONAL_FIELDS = fields(
  'salt:bytes',
  'subject:string',
  'clientId:string',
  'consentId:string',
  'consentVersion:uint',
  'grant:string',
  'purpose:string',
);

const HOP_FIELDS = fields(
  'hopId:bytes',
  'parentHopId:bytes',
  'requestId:bytes',
  'side:side',
  'caller:string',
  'callee:string',
  'ownSerial:bytes',
  'peerSerial:bytes',
  'method:string',
  'route:string',
  'protocol:string',
  'outcome:outcome',
  'code:string',
  'refusedBy:string',
  'policies:strings',
  'snapshotNumber:uint',
  'authorityEntry:uint',
  'caEntry:uint',
  'httpStatus:uint',
  'grpcStatusPlusOne:uint',
  'durationUs:uint',
  'goesOn:bool',
  'chainId:bytes',
  'txn:string',
  'depth:uint',
  'scope:string',
  'carrier:string',
  'personal:personal',
  'skewMs:sint',
  'peerAddress:string',
  'actors:strings',
  'traceId:bytes',
  'outsideTraceId:bytes',
  'exit:string',
  'audience:string',
  'tokenJti:string',
);

const HOP_END_FIELDS = fields(
  'hopId:bytes',
  'side:side',
  'outcome:outcome',
  'code:string',
  'bytesIn:uint',
  'bytesOut:uint',
  'durationUs:uint',
  'grpcStatusPlusOne:uint',
  'requestId:bytes',
);

/** Members of the oneof `body`: their number in `Event` and their fields. */
export const BODIES: {
  readonly [B in EventBody['body']]: { readonly number: number; readonly fields: readonly Field[] };
} = {
  hop: { number: 4, fields: HOP_FIELDS },
  hopEnd: { number: 5, fields: HOP_END_FIELDS },
  issuance: {
    number: 6,
    fields: fields(
      'spiffeId:string',
      'serial:bytes',
      'attestor:string',
      'selectors:strings',
      'notAfterS:uint',
      'witJti:string',
      'operation:string',
      'code:string',
    ),
  },
  consent: {
    number: 7,
    fields: fields('change:string', 'version:uint', 'scopes:strings', 'untilS:uint', 'personal:personal', 'hash:bytes'),
  },
  evaluation: {
    number: 8,
    fields: fields(
      'hopId:bytes',
      'requestId:bytes',
      'service:string',
      'action:string',
      'resourceType:string',
      'allow:bool',
      'code:string',
      'policies:strings',
      'snapshotNumber:uint',
      'personal:personal',
      'resourceHash:bytes',
    ),
  },
  part: { number: 9, fields: fields('state:string', 'detail:string') },
  connectionRefused: {
    number: 10,
    fields: fields(
      'code:string',
      'rule:string',
      'peerAddress:string',
      'peerSerial:bytes',
      'peer:string',
      'listener:string',
      'suppressed:uint',
    ),
  },
  key: { number: 11, fields: fields('use:string', 'kid:string', 'change:string') },
  revocation: {
    number: 12,
    fields: fields('kind:string', 'value:string', 'number:uint', 'by:string', 'reason:string'),
  },
  tokenIssued: {
    number: 14,
    fields: fields(
      'exit:string',
      'audience:string',
      'workload:string',
      'jti:string',
      'code:string',
      'scope:string',
      'outsideScope:string',
      'expiresS:uint',
      'policies:strings',
      'snapshotNumber:uint',
      'txn:string',
      'personal:personal',
    ),
  },
  deferred: {
    number: 15,
    fields: fields(
      'change:string',
      'id:string',
      'holder:string',
      'caller:string',
      'txn:string',
      'newTxn:string',
      'scope:string',
      'uses:uint',
      'usesLeft:uint',
      'untilS:uint',
      'code:string',
      'by:string',
      'reason:string',
      'work:string',
      'personal:personal',
      'depth:uint',
      'actors:strings',
    ),
  },
};

export const BODY_NAMES = Object.keys(BODIES) as EventBody['body'][];
