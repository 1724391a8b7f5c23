/** Steps 1 and 2: the headers as values, their sizes and counts, and the peer. */
import { asIs, bad, type ChainCase, lastLink, names, oneHop, root } from './case.ts';
import { chainOfSize } from './sizes.ts';

const TOGETHER = 'The three values together, separators included, have at most 16384 bytes.';
const EACH = 'Where some of the three are present, each is, and none is empty.';
const SEPARATOR = 'Lists are joined by a comma and one space.';
const HOP = 'An id is 12 bytes in base64url, 16 characters.';

const HOP_FORMS: readonly (readonly [name: string, value: string])[] = [
  ['malformed-hop-empty', ''],
  ['malformed-hop-two-ids', 'aG9wcHJlAAAAAAAB.cmVxdWVzdC1pZC0x'],
  ['malformed-hop-four-ids', 'aG9wcHJlAAAAAAAB.0.cmVxdWVzdC1pZC0x.0'],
  ['malformed-hop-short-id', 'aG9wcHJlAAAAAAA.0.cmVxdWVzdC1pZC0x'],
  ['malformed-hop-long-id', 'aG9wcHJlAAAAAAABA.0.cmVxdWVzdC1pZC0x'],
  ['malformed-hop-parent-zeros', 'aG9wcHJlAAAAAAAB.00.cmVxdWVzdC1pZC0x'],
  ['malformed-hop-parent-empty', 'aG9wcHJlAAAAAAAB..cmVxdWVzdC1pZC0x'],
  ['malformed-hop-other-alphabet', 'aG9wcHJl+AAAAAAB.0.cmVxdWVzdC1pZC0x'],
  ['malformed-hop-space', 'aG9wcHJlAAAAAAAB.0.cmVxdWVzdC1pZC0x '],
];

const eightLinks = () => ({
  root: { later: 'x'.repeat(2400) },
  hops: names(8).map((hop) => ({ ...hop, claims: { rte: 'x'.repeat(560) } })),
});

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
    name: 'malformed-no-root',
    says: EACH,
    chain: asIs,
    edit: () => ({ txnToken: null }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-no-credentials',
    says: EACH,
    chain: asIs,
    edit: () => ({ delegationCredentials: null }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-all-empty',
    says: EACH,
    chain: asIs,
    edit: () => ({ txnToken: '', delegationChain: '', delegationCredentials: '' }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-empty-chain',
    says: EACH,
    chain: asIs,
    edit: () => ({ delegationChain: '' }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-no-hop',
    says: 'A call without `Delegation-Hop` is malformed.',
    chain: asIs,
    call: { delegation_hop: null },
    expect: bad('delegation_malformed'),
  },
  ...HOP_FORMS.map(([name, delegation_hop]) => ({
    name,
    says: HOP,
    chain: asIs,
    call: { delegation_hop },
    expect: bad('delegation_malformed'),
  })),
  {
    name: 'malformed-fewer-wits-than-links',
    says: 'There are as many WITs as links.',
    chain: asIs,
    edit: (chain) => ({ delegationCredentials: chain.delegationCredentials.split(', ')[0] as string }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-more-wits-than-links',
    says: 'There are as many WITs as links.',
    chain: () => ({ hops: oneHop }),
    edit: ({ delegationCredentials: wit }) => ({ delegationCredentials: `${wit}, ${wit}` }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-list-separator',
    says: SEPARATOR,
    chain: asIs,
    edit: (chain) => ({ delegationChain: chain.delegationChain.replace(', ', ',') }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-two-spaces',
    says: SEPARATOR,
    chain: asIs,
    edit: (chain) => ({ delegationChain: chain.delegationChain.replace(', ', ',  ') }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-trailing-separator',
    says: SEPARATOR,
    chain: asIs,
    edit: ({ delegationChain: links, delegationCredentials: wits }) => ({
      delegationChain: `${links}, `,
      delegationCredentials: `${wits}, `,
    }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'malformed-trailing-space',
    says: SEPARATOR,
    chain: asIs,
    edit: (chain) => ({ delegationCredentials: `${chain.delegationCredentials} ` }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'too-large-nine-links',
    says: 'A chain has at most 8 links.',
    chain: () => ({ hops: names(9) }),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'too-large-nine-wits',
    says: 'Then `Delegation-Chain`: number of links, then the size of each; then `Delegation-Credentials` in the same way.',
    chain: () => ({ hops: oneHop }),
    edit: ({ delegationCredentials: wit }) => ({ delegationCredentials: Array(9).fill(wit).join(', ') }),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'too-large-root',
    says: 'A root has at most 4096 bytes.',
    chain: root(() => ({ later: 'x'.repeat(3500) })),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'too-large-root-by-one',
    says: 'A root has at most 4096 bytes.',
    chain: asIs,
    edit: ({ txnToken }) => ({ txnToken: txnToken.padEnd(4097, 'A') }),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'malformed-root-of-4096-bytes',
    says: 'A root has at most 4096 bytes.',
    chain: asIs,
    edit: ({ txnToken }) => ({ txnToken: txnToken.padEnd(4096, '=') }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'too-large-link',
    says: 'A link has at most 1536 bytes.',
    chain: lastLink(() => ({ rte: `GET /${'x'.repeat(1200)}` })),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'too-large-link-by-one',
    says: 'A link has at most 1536 bytes.',
    chain: asIs,
    edit: ({ delegationChain: links }) => ({
      delegationChain: links.padEnd(links.indexOf(', ') + 2 + 1537, 'A'),
    }),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'too-large-wit-by-one',
    says: 'A WIT has at most 1024 bytes.',
    chain: asIs,
    edit: ({ delegationCredentials: wits }) => ({
      delegationCredentials: wits.padEnd(wits.indexOf(', ') + 2 + 1025, 'A'),
    }),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'malformed-wit-of-1024-bytes',
    says: 'A WIT has at most 1024 bytes.',
    chain: asIs,
    edit: ({ delegationCredentials: wits }) => ({
      delegationCredentials: wits.padEnd(wits.indexOf(', ') + 2 + 1024, '='),
    }),
    expect: bad('delegation_malformed'),
  },
  { name: 'too-large-together', says: TOGETHER, chain: eightLinks, expect: bad('delegation_too_large') },
  {
    name: 'too-large-together-by-one',
    says: TOGETHER,
    chain: chainOfSize(16_385),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'no-peer',
    says: 'A peer without a certificate is `peer_unauthenticated`.',
    chain: asIs,
    call: { peer: null, peer_certificate: null },
    expect: bad('peer_unauthenticated'),
  },
];
