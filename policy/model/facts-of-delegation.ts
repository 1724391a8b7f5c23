/** What a verified delegation gives a decision. */
import type { Delegation } from '../../delegation/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import type { DelegationFacts } from './entities.ts';

/** The facts of a request that came in with no credential, by a public route: nobody's. */
export const NO_DELEGATION: DelegationFacts = {
  subject: '',
  client: '',
  consent: '',
  purpose: '',
  scopes: [],
  actors: [],
  depth: 0,
  own: false,
  details: [],
};

/** The facts of a verified root or chain. A user's subject is a pseudonym `u:…`; any other subject acts for itself. */
export function factsOfDelegation(delegation: Delegation): DelegationFacts {
  return {
    subject: delegation.sub,
    client: delegation.clientId ?? '',
    consent: delegation.consent?.id ?? '',
    purpose: delegation.purpose ?? '',
    scopes: delegation.scope,
    actors: delegation.actors,
    depth: delegation.depth,
    own: delegation.sub.startsWith('spiffe://'),
    details: [...new Set((delegation.authorizationDetails ?? []).map(({ type }) => type))],
  };
}

/** The facts of a workload's own authority where no root stands for it, as at an exit. */
export function factsOfOwn(me: SpiffeId, scopes: readonly string[]): DelegationFacts {
  return {
    subject: me,
    client: '',
    consent: '',
    purpose: '',
    scopes,
    details: [],
    actors: [me],
    depth: 0,
    own: true,
  };
}
