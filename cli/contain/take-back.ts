/** Has a target taken back by the part that may: the authority or the CA, each through its signed live state. */
import { BehalfError } from '../../errors/index.ts';
import { revocations } from '../../proto/behalf/authority/v1/authority.ts';
import { registration } from '../../proto/behalf/ca/v1/ca.ts';
import type { Operator } from '../mesh/operator.ts';
import { requireAuthority } from '../mesh/require-authority.ts';
import type { Target } from './target.ts';

export interface TakenBack {
  readonly source: 'authority' | 'ca';
  readonly kind: string;
  /** Of the source's live-state entry. */
  readonly number: number;
  readonly banned: boolean;
  /** OAuth grants that ended with it, each with its tokens. */
  readonly grantsEnded: number;
  /** The key that signs from now on, where one was replaced. */
  readonly nextKid: string | null;
}

/** Kinds of live state that the authority states, by target. */
const AUTHORITY_KINDS: Readonly<Partial<Record<Target['kind'], string>>> = {
  user: 'sub',
  client: 'client',
  consent: 'consent',
  txn: 'txn',
  deferred: 'deferred',
};

/**
 * Resolves when the source has it durably and has handed it to the collector.
 * @throws {BehalfError} `not_found`, and what else the source refuses with
 */
export async function takeBack(
  operator: Operator,
  { kind, value }: Target,
  { reason, ban }: { readonly reason: string; readonly ban: boolean },
): Promise<TakenBack> {
  if (kind === 'workload') return byCa(operator, 'workload', value, reason, ban);
  if (kind === 'cert') return byCa(operator, 'serial', value, reason, false);
  if (kind !== 'kid') return byAuthority(operator, AUTHORITY_KINDS[kind] as string, value, reason, ban);
  const bundle = await operator.bundle();
  if (bundle.witKeys.has(value)) return byCa(operator, 'kid', value, reason, false);
  if (bundle.rootKeys.has(value)) return byAuthority(operator, 'kid', value, reason, false);
  throw new BehalfError('not_found', { what: 'key that signs roots or WITs', kid: value.slice(0, 80) });
}

/** Lets a banned workload, user or client obtain authority again. @throws {BehalfError} `not_found` */
export async function liftBan(operator: Operator, { kind, value }: Target): Promise<void> {
  if (kind === 'workload') {
    await operator.connect(registration, operator.mesh.ca).liftBan({ spiffeId: value });
    return;
  }
  const client = operator.connect(revocations, requireAuthority(operator.mesh));
  await client.liftBan({ kind: AUTHORITY_KINDS[kind] ?? kind, value });
}

async function byCa(
  { connect, mesh }: Operator,
  kind: string,
  value: string,
  reason: string,
  ban: boolean,
): Promise<TakenBack> {
  const { number, nextKid } = await connect(registration, mesh.ca).revoke({ kind, value, reason, ban });
  return {
    source: 'ca',
    kind: kind === 'serial' ? 'cert' : kind,
    number,
    banned: ban,
    grantsEnded: 0,
    nextKid: nextKid === '' ? null : nextKid,
  };
}

async function byAuthority(
  { connect, mesh }: Operator,
  kind: string,
  value: string,
  reason: string,
  ban: boolean,
): Promise<TakenBack> {
  const client = connect(revocations, requireAuthority(mesh));
  const { number, grantsEnded, nextKid } = await client.revoke({ kind, value, reason, ban });
  return { source: 'authority', kind, number, banned: ban, grantsEnded, nextKid: nextKid === '' ? null : nextKid };
}
