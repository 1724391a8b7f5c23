/**
 * The checks that the drill aims at, by module: what stands in for a function while its check is off. Each calls the real one
 * unless the switch names it.
 */

import { OUTSIDE_REPLACEMENTS } from './replacements-outside.ts';

/** The module in which a compromised sidecar writes down what it receives. */
export const CAPTURING = 'sidecar/call/inbound/carried.ts';

/** Source of the module that stands before the real one. */
export function sourceOf(target: string, files: { switchFile: string | null; capture: string | null }): string {
  const own = `./${target.slice(target.lastIndexOf('/') + 1)}?unpatched`;
  return `
import { appendFileSync, readFileSync } from 'node:fs';
import * as real from '${own}';
export * from '${own}';
const SWITCH = ${JSON.stringify(files.switchFile)};
const CAPTURE = ${JSON.stringify(files.capture)};
function state() {
  try {
    return SWITCH === null ? { off: [], facts: {} } : JSON.parse(readFileSync(SWITCH, 'utf8'));
  } catch {
    return { off: [], facts: {} };
  }
}
const off = (name) => state().off.includes(name);
const unless = (name, check) => (...given) => (off(name) ? undefined : check(...given));
${REPLACEMENTS[target] ?? ''}`;
}

export const REPLACEMENTS: Readonly<Record<string, string>> = {
  ...OUTSIDE_REPLACEMENTS,
  'delegation/chain/structure.ts': `
export const checkLastAudience = unless('audience', real.checkLastAudience);
export const checkPresenter = unless('presenter', real.checkPresenter);
export const checkSigners = unless('signers', real.checkSigners);
export const checkCredentialHashes = unless('wth', real.checkCredentialHashes);
export const checkParentHashes = unless('par_hash', real.checkParentHashes);
export const checkList = unless('list', real.checkList);
export const checkNext = unless('next', real.checkNext);
export const checkDistinctIds = unless('jti', real.checkDistinctIds);
export const checkDepths = (parsed) => (off('depth') ? 8 : real.checkDepths(parsed));
export function checkNarrowing(parsed, ...rest) {
  if (!off('narrowing')) return real.checkNarrowing(parsed, ...rest);
  const said = parsed.hops.findLast(({ link }) => link.scope !== null);
  return { scope: said === undefined ? parsed.root.scope : said.link.scope, details: null };
}
`,
  'delegation/chain/chain-times.ts': `
export const checkChainTimes = (parsed, ...rest) =>
  off('times') ? Math.floor(Date.now() / 1000) + 3600 : real.checkChainTimes(parsed, ...rest);
`,
  'delegation/root/check-root.ts': `
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
const anyKey = createPublicKey(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey);
export const checkLiveState = unless('revocation', real.checkLiveState);
export const findRootKey = (...given) => (off('root-key') ? anyKey : real.findRootKey(...given));
export const verifyRootSignature = unless('root', real.verifyRootSignature);
`,
  'delegation/chain/binding.ts': `
export const checkRoute = unless('rte', real.checkRoute);
export const takeOnce = unless('once', real.takeOnce);
`,
  'delegation/limits.ts': `
export let MAX_LINK_BYTES = real.MAX_LINK_BYTES;
export let MAX_ROOT_BYTES = real.MAX_ROOT_BYTES;
export let MAX_TOTAL_BYTES = real.MAX_TOTAL_BYTES;
setInterval(() => {
  const isOff = off('sizes');
  MAX_LINK_BYTES = isOff ? 60_000 : real.MAX_LINK_BYTES;
  MAX_ROOT_BYTES = isOff ? 60_000 : real.MAX_ROOT_BYTES;
  MAX_TOTAL_BYTES = isOff ? 60_000 : real.MAX_TOTAL_BYTES;
}, 50).unref();
`,
  'delegation/link/parse-link.ts': `
const KNOWN = ['par_hash', 'aud', 'iat', 'exp', 'jti', 'del_depth', 'wth', 'scope', 'del_max_depth', 'next', 'rte', 'once'];
export function parseLink(compact, ...rest) {
  if (!off('members')) return real.parseLink(compact, ...rest);
  const [header, payload, signature] = compact.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  const known = Object.fromEntries(Object.entries(claims).filter(([name]) => KNOWN.includes(name)));
  const cut = Buffer.from(JSON.stringify(known)).toString('base64url');
  const read = real.parseLink([header, cut, signature].join('.'), ...rest);
  return { ...read, compact, signingInput: header + '.' + payload };
}
`,
  'delegation/hop-id/hop-window.ts': `
export function createHopWindow(...given) {
  const window = real.createHopWindow(...given);
  return {
    take: unless('hop-window', window.take),
    forgetIdle: window.forgetIdle,
    get size() {
      return window.size;
    },
  };
}
`,
  'identity/jws.ts': `
export const verifyEs256 = (...given) => off('signature') || real.verifyEs256(...given);
`,
  'identity/mtls/verify-peer.ts': `
export function verifyPeer(...given) {
  try {
    return real.verifyPeer(...given);
  } catch (refusal) {
    const { off, facts } = state();
    if (off.includes('certificate')) return facts.peer;
    throw refusal;
  }
}
`,
  'policy/decide/route-demands.ts': `
export function demandsOfRoute(...given) {
  const demands = real.demandsOfRoute(...given);
  return off('demands') ? { ...demands, rte: null, once: false } : demands;
}
`,
  'sidecar/call/outbound/asked-scope.ts': `
export const narrowedTo = (asked, left) => (off('asked-scope') && asked !== null ? left : real.narrowedTo(asked, left));
`,
  'sidecar/call/inbound/carried.ts': `
const slots = new Map();
function firstOfEach(headers) {
  const kept = [];
  for (let i = 0; i < headers.length; i += 2) {
    const again = kept.some((name, at) => at % 2 === 0 && name === headers[i]);
    const isOurs = headers[i].startsWith('delegation-') || headers[i] === 'txn-token';
    if (again && isOurs) continue;
    kept.push(headers[i], headers[i] === 'txn-token' ? headers[i + 1].split(',')[0] : headers[i + 1]);
  }
  return kept;
}
function bareRoot(headers) {
  const at = (name) => {
    const i = headers.indexOf(name);
    return i < 0 ? null : headers[i + 1];
  };
  const root = at('txn-token');
  if (root === null || at('delegation-chain') !== null) return null;
  const hop = real.hopIfReadable(headers);
  return hop === null ? null : { parsed: { bareRoot: root }, hop, bySlot: true };
}
export function readCarried(headers, ownSlots) {
  const bare = off('bare-root') ? bareRoot(headers) : null;
  if (bare !== null) return bare;
  const table = off('slot-table') ? { get: (slot) => slots.get(slot) ?? null, put: () => false } : ownSlots;
  const carried = real.readCarried(off('singletons') ? firstOfEach(headers) : headers, table);
  slots.set(carried.parsed.chainId.toString('base64url'), carried.parsed);
  if (CAPTURE !== null) {
    const { txnToken, delegationChain, delegationCredentials } = carried.parsed;
    const captured = {
      'txn-token': txnToken,
      'delegation-chain': delegationChain,
      'delegation-credentials': delegationCredentials,
    };
    appendFileSync(CAPTURE, JSON.stringify(captured) + '\\n');
  }
  return carried;
}
export const carriedInTrailers = (...given) => (off('trailers') ? null : real.carriedInTrailers(...given));
`,
  'delegation/chain/verify-chain.ts': `
import { verifyRoot } from '../root/verify-root.ts';
export function verifyChain(parsed, context) {
  if (parsed.bareRoot === undefined) return real.verifyChain(parsed, context);
  const root = parsed.bareRoot;
  const reqWl = JSON.parse(Buffer.from(root.split('.')[1], 'base64url').toString()).req_wl;
  const verified = verifyRoot(root, { ...context, me: reqWl });
  return { ...verified, kind: 'chain', holder: context.me, jti: '', rte: null, once: null, fromCache: true };
}
`,
  'sidecar/call/foreign-token.ts': `
export const checkNoAccessToken = unless('access-token', real.checkNoAccessToken);
`,
  'sidecar/call/standing.ts': `
export const checkPeerStanding = unless('peer-standing', real.checkPeerStanding);
`,
  'sidecar/call/decisions.ts': `
export function createDecisionCache(...given) {
  const cache = real.createDecisionCache(...given);
  const allow = { kind: 'allow', code: null, policies: [], detail: {} };
  return { decide: (...asked) => (off('policy') ? allow : cache.decide(...asked)) };
}
`,
  'sidecar/call/context/context.ts': `
export function createContextTable(...given) {
  const table = real.createContextTable(...given);
  let latest = null;
  const first = (headers) => headers[headers.indexOf('delegation-context') + 1];
  return {
    ...table,
    open(inbound) {
      latest = inbound;
      return table.open(inbound);
    },
    ended: unless('linger', table.ended),
    resolve(headers) {
      if (off('handle')) return { inbound: latest, carrier: 'context' };
      if (off('trace') && headers.includes('traceparent')) return { inbound: latest, carrier: 'traceparent' };
      if (off('one-request')) return table.resolve(['traceparent', headers[headers.indexOf('traceparent') + 1]]);
      if (off('carrier')) return { ...table.resolve(headers), carrier: 'context' };
      if (off('ambiguous')) return { inbound: table.resolveHandle(first(headers)), carrier: 'context' };
      return table.resolve(headers);
    },
    resolveHandle: (handle) => (off('handle') ? latest : table.resolveHandle(handle)),
  };
}
`,
  'sidecar/call/entry/entry.ts': `
let lastToken = '';
export function judgeEntry(env, head, ...rest) {
  const at = head.headers.indexOf('authorization');
  if (off('credential-on-public')) {
    const none = head.headers.filter((_, i) => head.headers[i & ~1] !== 'authorization');
    return real.judgeEntry(env, { ...head, headers: none }, ...rest);
  }
  if (at >= 0) lastToken = head.headers[at + 1];
  if (!off('credential')) return real.judgeEntry(env, head, ...rest);
  const others = head.headers.filter((_, i) => head.headers[i & ~1] !== 'authorization');
  const one = at < 0 ? lastToken : head.headers[at + 1];
  return real.judgeEntry(env, { ...head, headers: [...others, 'authorization', one] }, ...rest);
}
`,
  'sidecar/call/entry/credentials.ts': `
export function presentedCredential(headers) {
  if (!off('one-credential')) return real.presentedCredential(headers);
  const at = headers.indexOf('authorization');
  return real.presentedCredential(['authorization', headers[at + 1].split(',')[0]]);
}
export const credentialInTrailers = (...given) => (off('trailers') ? null : real.credentialInTrailers(...given));
`,
  'identity/dpop/proof-memory.ts': `
export function createProofMemory(...given) {
  const memory = real.createProofMemory(...given);
  return { ...memory, take: unless('proof-memory', memory.take) };
}
`,
  'authority/exchange/proof-of-possession.ts': `
export function createProofChecker(...given) {
  const checker = real.createProofChecker(...given);
  return { check: async (...asked) => (off('proof') ? undefined : checker.check(...asked)) };
}
`,
  'sidecar/exchange/roots.ts': `
export function createRoots(...given) {
  const roots = real.createRoots(...given);
  return {
    ...roots,
    forCredential(shown, ...rest) {
      const isOff = shown.kind === 'access_token' && off('root-key-of-token');
      return roots.forCredential(isOff ? { ...shown, token: state().facts.cachedFor } : shown, ...rest);
    },
  };
}
`,
  'sidecar/facts/mesh-headers.ts': `
export const isMeshHeader = (name) => !off('strip') && real.isMeshHeader(name);
export const stripRouteOverrides = (headers) => (off('route-override') ? headers : real.stripRouteOverrides(headers));
export function stripMeshHeaders(headers) {
  if (off('strip-own')) return [...headers];
  if (!off('strip')) return real.stripMeshHeaders(headers);
  const isKept = (name) => !real.isMeshHeader(name) || headers[headers.indexOf(name) + 1].includes('forged');
  return headers.filter((_, i) => isKept(headers[i & ~1]));
}
`,
  'sidecar/listen/uid-guard.ts': `
export function createUidGuard(...given) {
  const guard = real.createUidGuard(...given);
  return { active: guard.active, admit: (socket) => off('uid') || guard.admit(socket) };
}
`,
  'sidecar/listen/mesh.ts': `
export const listenMesh = (options) =>
  real.listenMesh({
    ...options,
    revoked: { ...options.revoked, isRevoked: (holder) => !off('revoked-connection') && options.revoked.isRevoked(holder) },
  });
`,
  'ca/attest/join-token.ts': `
export function redeemJoinToken(...given) {
  const { off, facts } = state();
  if (!off.includes('join-token')) return real.redeemJoinToken(...given);
  return { attestor: 'join_token', spiffeId: facts.spiffeId, selectors: [], entryId: null, ttlS: 0 };
}
`,
  'ca/bundle/published-keys.ts': `
export const isOperator = (...given) => off('operator') || real.isOperator(...given);
export const ownerOfKeys = (...given) => (off('key-owner') ? state().facts.owner : real.ownerOfKeys(...given));
`,
  'ca/revoke/revocations.ts': `
export const checkNotRevoked = unless('ca-revoked', real.checkNotRevoked);
export const lastRevokedSecond = (...given) => (off('ca-revoked') ? 0 : real.lastRevokedSecond(...given));
`,
  'authority/exchange/exchange.ts': `
export function createExchange(deps) {
  const exchange = real.createExchange(deps);
  return (parameters, caller) => {
    if (!off('entry')) return exchange(parameters, caller);
    const snapshot = () => {
      const current = deps.snapshot();
      const workload = { ...current.workloads[caller.id], entry_ceiling: state().facts.ceiling };
      return { ...current, workloads: { ...current.workloads, [caller.id]: workload } };
    };
    return real.createExchange({ ...deps, snapshot })(parameters, caller);
  };
}
`,
  'collector/query/serve-query.ts': `
export function serveQuery(server, deps) {
  const asOperator = (handler) => (request, caller) =>
    handler(request, off('query-operator') ? { ...caller, id: state().facts.operator } : caller);
  const add = (definition, implementation) =>
    server.add(
      definition,
      Object.fromEntries(Object.entries(implementation).map(([name, handler]) => [name, asOperator(handler)])),
    );
  return real.serveQuery({ ...server, add }, deps);
}
`,
  'collector/match/findings.ts': `
export function createFindings(...given) {
  const findings = real.createFindings(...given);
  return {
    ...findings,
    gap: unless('gap', findings.gap),
    foreignSide: unless('foreign-side', findings.foreignSide),
    disagreement: unless('disagreement', findings.disagreement),
    otherChain: unless('other-chain', findings.otherChain),
    overspent: unless('overspent', findings.overspent),
    sweep: (nowUs) => (off('one-sided') ? { found: 0, resolved: 0 } : findings.sweep(nowUs)),
  };
}
`,
};
