/** Judges a recorded chain again, offline, as its receiver did at the time of the call, and tells it in words. No token is shown. */
import {
  type ChainHeaders,
  type Delegation,
  type OnceStore,
  type ParsedChain,
  type ParsedRoot,
  parseChain,
  parseRoot,
  type RootContext,
  verifyChain,
  verifyRoot,
} from '../../delegation/index.ts';
import { BehalfError, type ErrorCode } from '../../errors/index.ts';
import { DEFAULT_CLOCK_RULE, type MeshBundle } from '../../identity/index.ts';
import type { ChainBody } from '../../proto/behalf/audit/v1/audit.ts';
import { printable } from '../draw/style.ts';
import { instant, lifetime, shortName } from '../draw/words.ts';

/** What the record holds of a delegation: a whole chain, or the bare root where a request entered. */
export type RecordedChain =
  | { readonly kind: 'chain'; readonly parsed: ParsedChain; readonly root: ParsedRoot }
  | { readonly kind: 'root'; readonly root: ParsedRoot };

export type Verdict =
  | { readonly holds: true; readonly delegation: Delegation }
  | { readonly holds: false; readonly code: ErrorCode; readonly why: string };

/** Reads a recorded body. @throws {BehalfError} the codes of `parseChain` */
export function readRecorded({ txnToken, delegationChain, delegationCredentials }: ChainBody): RecordedChain {
  if (delegationChain === '' && delegationCredentials === '') return { kind: 'root', root: parseRoot(txnToken) };
  const headers: ChainHeaders = { txnToken, delegationChain, delegationCredentials };
  const parsed = parseChain(headers);
  return { kind: 'chain', parsed, root: parsed.root };
}

/**
 * Whether every signature and rule of the chain holds, judged with the mesh's published keys at `atS`, the time of the call.
 * What was revoked since is not asked: the record tells that.
 */
export function judgeRecorded(recorded: RecordedChain, bundle: MeshBundle, atS: number): Verdict {
  const context: RootContext = {
    me: recorded.kind === 'chain' ? recorded.parsed.last.link.claims.aud : recorded.root.claims.req_wl,
    nowS: atS,
    clock: DEFAULT_CLOCK_RULE,
    trustDomain: bundle.trustDomain,
    issuer: bundle.issuer,
    audience: `spiffe://${bundle.trustDomain}/behalf/delegation`,
    rootKey: (kid) => bundle.rootKeys.get(kid) ?? null,
    revoked: () => null,
    fresh: () => {},
  };
  try {
    if (recorded.kind === 'root') return { holds: true, delegation: verifyRoot(recorded.root.compact, context) };
    const { wit, link } = recorded.parsed.last;
    const delegation = verifyChain(recorded.parsed, {
      ...context,
      peer: { spiffeId: wit.spiffeId, certificateS256: wit.certificateS256 },
      witKey: (kid) => bundle.witKeys.get(kid) ?? null,
      route: link.claims.rte ?? null,
      // What binds to one pod and one use was judged there and then; it cannot be again.
      myCertificateS256: link.claims.once ?? null,
      onceStore: link.claims.once === undefined ? null : ANY_USE,
    });
    return { holds: true, delegation };
  } catch (error) {
    if (error instanceof BehalfError) return { holds: false, code: error.code, why: error.message };
    throw error;
  }
}

const ANY_USE: OnceStore = { take: () => {}, size: 0 };

/** The chain in words, from the user to the last workload. */
export function tellChain({ root, ...recorded }: RecordedChain, nameSubject: (subject: string) => string): string[] {
  const { sub, tctx, scope, iat, exp, txn, req_wl: entry } = root.claims;
  const own = sub.startsWith('spiffe:');
  const lines = own
    ? [
        `${shortName(sub)} acts on its own authority${tctx.purpose === undefined ? '' : `, for: ${printable(tctx.purpose)}`}.`,
      ]
    : [
        `${printable(nameSubject(sub))} let the client ${printable(tctx.client_id ?? '')} act${tctx.purpose === undefined ? '' : `, for: ${printable(tctx.purpose)}`}.`,
        `The consent is ${printable(tctx.consent?.id ?? '')}, version ${tctx.consent?.version ?? ''}.`,
      ];
  lines.push(
    `The authority gave ${shortName(entry)} a root at ${instant(iat * 1e6)} for ${lifetime(exp - iat)} (transaction ${txn}),`,
    `with the scopes: ${scopesOf(scope === '' ? [] : scope.split(' '))}.`,
  );
  if (!('parsed' in recorded)) return lines;
  let left = root.scope;
  for (const { link, holder, wit } of recorded.parsed.hops) {
    const narrowed = link.scope !== null && link.scope.length < left.length;
    left = link.scope ?? left;
    lines.push(
      `${link.claims.del_depth}. ${shortName(holder)} handed it to ${shortName(link.claims.aud)} at ${instant(link.claims.iat * 1e6).slice(11, 19)} for ${lifetime(link.claims.exp - link.claims.iat)}, ` +
        `${narrowed ? 'narrowed to' : 'with'}: ${scopesOf(left)}.`,
      `   signed with the key of WIT ${wit.jti.slice(0, 12)}… of ${holder}, bound to certificate ${wit.certificateS256.slice(0, 12)}…`,
    );
  }
  return lines;
}

function scopesOf(scopes: readonly string[]): string {
  return scopes.length === 0 ? 'none' : scopes.map(printable).join(' ');
}
