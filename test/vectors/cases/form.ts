/** Steps 1 and 2: form of the headers and objects, and the peer. */
import { asIs, bad, type ChainCase, id, lastHeader, lastLink, names, root } from './case.ts';

export const FORM_CASES: readonly ChainCase[] = [
  {
    name: 'missing',
    says: 'Where none of the three headers is present the code is `delegation_missing`.',
    chain: asIs,
    edit: () => ({ txnToken: null, delegationChain: null, delegationCredentials: null }),
    expect: bad('delegation_missing'),
  },
  {
    name: 'malformed-bare-root',
    says: 'A root that is presented without a link is malformed.',
    chain: asIs,
    edit: () => ({ delegationChain: null, delegationCredentials: null }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-no-hop',
    says: 'A call without `Delegation-Hop` is malformed.',
    chain: asIs,
    call: { delegation_hop: null },
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-fewer-wits-than-links',
    says: 'There are as many WITs as links.',
    chain: asIs,
    edit: (chain) => ({ delegationCredentials: (chain.delegationCredentials as string).split(', ')[0] as string }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-list-separator',
    says: 'Lists are joined by a comma and one space.',
    chain: asIs,
    edit: (chain) => ({ delegationChain: chain.delegationChain.replace(', ', ',') }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'too-large-nine-links',
    says: 'A chain has at most 8 links.',
    chain: () => ({ hops: names(9) }),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'too-large-root',
    says: 'A root has at most 4096 bytes.',
    chain: root(() => ({ later: 'x'.repeat(3500) })),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'too-large-link',
    says: 'A link has at most 1536 bytes.',
    chain: lastLink(() => ({ rte: `GET /${'x'.repeat(1200)}` })),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'too-large-together',
    says: 'The three values together, separators included, have at most 16384 bytes.',
    chain: () => ({
      root: { later: 'x'.repeat(2400) },
      hops: names(8).map((hop) => ({ ...hop, claims: { rte: 'x'.repeat(560) } })),
    }),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'malformed-padded-base64url',
    says: 'Base64url is unpadded and canonical.',
    chain: asIs,
    edit: (chain) => ({ txnToken: `${chain.txnToken}==` }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-unknown-link-member',
    says: 'Any other member of a link is malformed, since a restriction that is not understood must not be ignored.',
    chain: lastLink(() => ({ only_on_mondays: true })),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-member-type',
    says: 'A member of another JSON type is malformed.',
    chain: lastLink(() => ({ del_depth: '2' })),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-scope-twice',
    says: 'A scope value names each token once.',
    chain: lastLink(() => ({ scope: 'orders:read orders:read' })),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-fraction',
    says: 'Every number is an integer written in digits only and below 2^53.',
    chain: root(() => ({ later: 1.5 })),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-depth-of-json',
    says: 'JSON is nested at most 6 deep in a root and 5 deep in links and WITs, the outermost being 1.',
    chain: root(() => ({ later: [[[[[[]]]]]] })),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-own-root-with-client',
    says: 'Its `tctx` has at most `max_depth` and `purpose`.',
    chain: root((mesh) => ({ sub: id(mesh, 'storefront'), tctx: { client_id: 'shop-web' } })),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-alg-none',
    says: 'A header of other members or values is malformed.',
    chain: lastHeader({ alg: 'none' }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-two-trust-domains',
    says: 'All SPIFFE IDs of a chain are of one trust domain.',
    chain: lastLink(() => ({ next: ['spiffe://other.example/ns/demo/sa/bank'] })),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'unsupported-version',
    says: 'A link whose `typ` is `dlglink-N+jwt` of another N is unsupported.',
    chain: lastHeader({ typ: 'dlglink-2+jwt' }),
    expect: bad('delegation_unsupported'),
  },
  {
    name: 'unsupported-batch',
    says: '`ES256+MT` where it is off is unsupported.',
    chain: lastHeader({ alg: 'ES256+MT' }),
    expect: bad('delegation_unsupported'),
  },

  {
    name: 'no-peer',
    says: 'A peer without a certificate is `peer_unauthenticated`.',
    chain: asIs,
    call: { peer: null, peer_certificate: null },
    expect: bad('peer_unauthenticated'),
  },
];
