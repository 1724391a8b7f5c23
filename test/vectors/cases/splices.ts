/** Step 3: good parts of good chains, put together otherwise. */
import { forge } from '../../../delegation/test-forge.ts';
import { asIs, bad, type ChainCase, names, oneHop, twoHops, witFor } from './case.ts';

const SIGNERS = 'Link 1 is signed by `req_wl`, link n by the `aud` of link n-1.';
const TXN = Buffer.alloc(16, 3).toString('base64url');

export const SPLICE_CASES: readonly ChainCase[] = [
  {
    name: 'spliced-root',
    says: "`par_hash` is the hash of the parent's signing input.",
    chain: asIs,
    edit: (_, mesh) => ({ txnToken: forge(mesh, { root: { sub: `u:${TXN}` }, hops: oneHop }).txnToken }),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'spliced-links',
    says: "`par_hash` is the hash of the parent's signing input.",
    chain: asIs,
    edit: ({ delegationChain }, mesh) => {
      const other = forge(mesh, { root: { sub: `u:${TXN}` }, hops: twoHops });
      return { delegationChain: `${delegationChain.split(', ')[0]}, ${other.delegationChain.split(', ')[1]}` };
    },
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'links-swapped',
    says: SIGNERS,
    chain: () => ({ hops: names(3) }),
    edit: ({ delegationChain, delegationCredentials }) => ({
      delegationChain: reordered(delegationChain, [1, 0, 2]),
      delegationCredentials: reordered(delegationCredentials, [1, 0, 2]),
    }),
    expect: bad('delegation_holder_mismatch'),
  },
  {
    name: 'link-twice',
    says: SIGNERS,
    chain: asIs,
    edit: ({ delegationChain, delegationCredentials }) => ({
      delegationChain: reordered(delegationChain, [0, 1, 1]),
      delegationCredentials: reordered(delegationCredentials, [0, 1, 1]),
    }),
    expect: bad('delegation_holder_mismatch'),
  },
  {
    name: 'first-link-dropped',
    says: SIGNERS,
    chain: asIs,
    edit: ({ delegationChain, delegationCredentials }) => ({
      delegationChain: reordered(delegationChain, [1]),
      delegationCredentials: reordered(delegationCredentials, [1]),
    }),
    expect: bad('delegation_holder_mismatch'),
  },
  {
    name: 'middle-link-dropped',
    says: SIGNERS,
    chain: () => ({ hops: names(3) }),
    edit: ({ delegationChain, delegationCredentials }) => ({
      delegationChain: reordered(delegationChain, [0, 2]),
      delegationCredentials: reordered(delegationCredentials, [0, 2]),
    }),
    expect: bad('delegation_holder_mismatch'),
  },
  {
    name: 'cut-to-an-ancestor',
    says: "The last `aud` is the verifier's own SPIFFE ID.",
    chain: asIs,
    edit: ({ delegationChain, delegationCredentials }) => ({
      delegationChain: reordered(delegationChain, [0]),
      delegationCredentials: reordered(delegationCredentials, [0]),
    }),
    expect: bad('delegation_wrong_audience'),
  },
  {
    name: 'wits-swapped',
    says: "The last WIT's `sub` is the SPIFFE ID of the TLS peer.",
    chain: asIs,
    edit: ({ delegationCredentials }) => ({ delegationCredentials: reordered(delegationCredentials, [1, 0]) }),
    expect: bad('delegation_holder_mismatch'),
  },
  {
    name: 'wit-exchanged',
    says: '`wth` is the hash of the WIT that came with the link.',
    chain: asIs,
    edit: ({ delegationCredentials }, mesh) => ({
      delegationCredentials: `${delegationCredentials.split(', ')[0]}, ${witFor(mesh, 'orders', mesh.nowS - 5)}`,
    }),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'chain-of-another-domain',
    says: "The last `aud` is the verifier's own SPIFFE ID.",
    chain: asIs,
    call: { trust_domain: 'other.example', me: 'spiffe://other.example/ns/demo/sa/payments' },
    expect: bad('delegation_wrong_audience'),
  },
];

function reordered(list: string, order: readonly number[]): string {
  const elements = list.split(', ');
  return order.map((i) => elements[i]).join(', ');
}
