/** Compares two chains link by link: who, scope, times, depth, transaction. Pure. */
import { shortName } from '../draw/words.ts';
import { utc } from './check.ts';
import { detailsOf, scopesOf } from './tell-chain.ts';
import type { ChainView, LinkView, RootView } from './view-chain.ts';

/** One member that differs; the values as people read them, null where that chain has no such object. */
export interface Difference {
  /** `root`, `link 1` … */
  readonly object: string;
  readonly member: string;
  readonly a: string | null;
  readonly b: string | null;
}

export interface ChainDiff {
  /** Objects that both share byte for byte: 0 for none, 1 for the root alone, 2 for root and link 1 … */
  readonly shared: number;
  readonly differences: readonly Difference[];
  /** One sentence on how the two belong together. */
  readonly relation: string;
}

export function diffChains(a: ChainView, b: ChainView): ChainDiff {
  const links = Math.max(a.links.length, b.links.length);
  const differences = compare('root', rootMembers(a.root), rootMembers(b.root));
  for (let i = 0; i < links; i++) {
    differences.push(...compare(`link ${i + 1}`, linkMembers(a.links[i]), linkMembers(b.links[i])));
  }
  const shared = sharedObjects(a.objects, b.objects);
  return { shared, differences, relation: relationOf(a, b, shared) };
}

type Members = ReadonlyMap<string, string> | null;

function rootMembers(root: RootView): Members {
  const { txn, sub, client, consent, purpose, scope, details, entry, iat, exp, issuer, key } = root;
  return new Map([
    ['txn', txn],
    ['sub', sub],
    ['client', client ?? 'none'],
    ['consent', consent === null ? 'none' : `${consent.id}, version ${consent.version}`],
    ['purpose', purpose ?? 'none'],
    ['entry', entry],
    ['scope', scopesOf(scope)],
    ['details', details === null ? 'none' : detailsOf(details)],
    ['made', utc(iat)],
    ['ends', utc(exp)],
    ['issuer', issuer],
    ['key', key],
  ]);
}

function linkMembers(link: LinkView | undefined): Members {
  if (link === undefined) return null;
  const { from, to, depth, iat, exp, scope, details, maxDepth, next, route, once, signer } = link;
  return new Map([
    ['from', from],
    ['to', to],
    ['depth', String(depth)],
    ['scope', scopesOf(scope)],
    ['details', details === null ? 'unchanged' : detailsOf(details)],
    ['made', utc(iat)],
    ['ends', utc(exp)],
    ['max depth', maxDepth === null ? 'none' : String(maxDepth)],
    ['next', next === null ? 'any' : next.join(', ') || 'nobody'],
    ['route', route ?? 'any'],
    ['once', once ? 'yes' : 'no'],
    ['WIT', signer.wit],
    ['certificate', signer.certificate],
  ]);
}

function compare(object: string, a: Members, b: Members): Difference[] {
  if (a === null || b === null) {
    const only = a ?? b;
    const what =
      only === null
        ? ''
        : `${shortName(only.get('from') ?? '')} → ${shortName(only.get('to') ?? '')}, ${only.get('scope')}`;
    return [{ object, member: 'link', a: a === null ? null : what, b: b === null ? null : what }];
  }
  return [...a].flatMap(([member, value]) => {
    const other = b.get(member) ?? null;
    return other === value ? [] : [{ object, member, a: value, b: other }];
  });
}

function sharedObjects(a: readonly string[], b: readonly string[]): number {
  let shared = 0;
  while (shared < Math.min(a.length, b.length) && a[shared] === b[shared]) shared++;
  return shared;
}

function relationOf(a: ChainView, b: ChainView, shared: number): string {
  const [inA, inB] = [a.objects.length, b.objects.length];
  if (shared === inA && shared === inB) return 'They are the same chain.';
  if (shared === inA)
    return `B is A handed on: ${a.links.length === 0 ? 'the same root' : `the same up to link ${a.links.length}`}.`;
  if (shared === inB)
    return `A is B handed on: ${b.links.length === 0 ? 'the same root' : `the same up to link ${b.links.length}`}.`;
  if (shared > 1) return `They part after link ${shared - 1}: the same root, handed on twice.`;
  if (shared === 1) return 'They have the same root and part at once.';
  if (a.root.sub === b.root.sub) return 'Two roots of the same user or workload.';
  return 'Two roots of different users or workloads.';
}
