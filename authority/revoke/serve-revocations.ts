/** Taking back over gRPC (`behalf.authority.v1.Revocations`), for operators: `spiffe://<td>/behalf/operator/<name>`. */
import { BehalfError } from '../../errors/index.ts';
import type { TrustDomain } from '../../identity/index.ts';
import type { Implementation } from '../../identity/mtls/index.ts';
import type { Revocations } from '../../proto/behalf/authority/v1/authority.ts';
import { requireOperator } from '../consent/serve-consents.ts';
import type { BannedKind, Bans } from './bans.ts';
import type { AuthorityKind, TakeBack } from './take-back.ts';

export interface RevocationServiceDeps {
  readonly trustDomain: TrustDomain;
  readonly takeBack: TakeBack;
  readonly bans: Bans;
}

const KINDS: Readonly<Record<AuthorityKind, true>> = {
  txn: true,
  sub: true,
  client: true,
  consent: true,
  grant: true,
  deferred: true,
  kid: true,
};
const MAX_VALUE_CHARACTERS = 256;
const MAX_REASON_CHARACTERS = 500;

/** Makes the service. */
export function serveRevocations({ trustDomain, takeBack, bans }: RevocationServiceDeps): Implementation<Revocations> {
  return {
    revoke: async ({ kind, value, reason, ban }, caller) => {
      const by = requireOperator(caller, trustDomain);
      if (!isKind(kind)) throw new BehalfError('request_malformed', { member: 'kind', kinds: Object.keys(KINDS) });
      if (value === '' || value.length > MAX_VALUE_CHARACTERS)
        throw new BehalfError('request_malformed', { member: 'value' });
      if (reason.length > MAX_REASON_CHARACTERS)
        throw new BehalfError('request_malformed', { member: 'reason', why: 'too long' });
      return takeBack({ kind, value, by, reason, ban });
    },
    liftBan: ({ kind, value }, caller) => {
      requireOperator(caller, trustDomain);
      bans.lift(bannedKind(kind), value);
      return {};
    },
    listBans: (_request, caller) => {
      requireOperator(caller, trustDomain);
      return { bans: bans.list() };
    },
  };
}

function isKind(kind: string): kind is AuthorityKind {
  return Object.hasOwn(KINDS, kind);
}

function bannedKind(kind: string): BannedKind {
  if (kind === 'sub' || kind === 'client') return kind;
  throw new BehalfError('request_malformed', { member: 'kind', kinds: ['sub', 'client'] });
}
