/** More of `replacements.ts`: the checks at the ways in from outside and out, of trace ids, streams, payments and deferred work. */
export const OUTSIDE_REPLACEMENTS: Readonly<Record<string, string>> = {
  'identity/dpop/proof.ts': `
export function verifyProof(compact, expected) {
  if (!off('proof-fits')) return real.verifyProof(compact, expected);
  const { htm, htu } = JSON.parse(Buffer.from(compact.split('.')[1], 'base64url').toString());
  const accessToken = state().facts.provedToken ?? expected.accessToken;
  return real.verifyProof(compact, { ...expected, method: htm, uri: htu, accessToken });
}
`,
  'identity/trusted-proxies.ts': `
export function createTrustedProxies(...given) {
  const proxies = real.createTrustedProxies(...given);
  return { ...proxies, has: (address) => off('trusted-proxy') || proxies.has(address) };
}
`,
  'authority/upstream/upstream-tokens.ts': `
export const createPresentedTokens = (deps) =>
  real.createPresentedTokens({
    ...deps,
    named: () => (off('token-issuer') ? deps.issuers.map(({ issuer }) => issuer) : deps.named()),
  });
`,
  'authority/oauth/access-tokens.ts': `
export function createAccessTokens(...given) {
  const tokens = real.createAccessTokens(...given);
  return { ...tokens, verify: (compact) => tokens.verify(off('own-token') ? state().facts.presentedAs : compact) };
}
`,
  'sidecar/call/context/traces.ts': `
export function beginTrace(env, call, head) {
  if (!off('outside-trace') || !env.contexts.readsTraceIds) return real.beginTrace(env, call, head);
  const at = head.headers.indexOf('traceparent');
  if (at < 0) return real.beginTrace(env, call, head);
  call.traceId = head.headers[at + 1].split('-')[1];
  return { head, link: null };
}
`,
  'sidecar/call/context/trace-ids.ts': `
export function createTraceIds(...given) {
  const ids = real.createTraceIds(...given);
  const seen = new Map();
  return {
    ...ids,
    began(id, ...rest) {
      if (off('one-trace') && seen.has(id)) return;
      seen.set(id, false);
      ids.began(id, ...rest);
    },
    bind(id, key) {
      if (off('one-trace') && seen.get(id)) return;
      seen.set(id, true);
      ids.bind(id, key);
    },
  };
}
`,
  'policy/decide/decide-exit.ts': `
export function exitOf(compiled, caller, name) {
  return off('exit-owner') ? (compiled.exits.get(name)?.exit ?? null) : real.exitOf(compiled, caller, name);
}
export function decideExit(compiled, request) {
  const { exit } = compiled.exits.get(request.exit) ?? {};
  const isTheirs = off('exit-owner') && exit !== undefined;
  return real.decideExit(compiled, isTheirs ? { ...request, caller: exit.from[0] } : request);
}
`,
  'sidecar/wire/exit/addresses.ts': `
export const addressesOf = (host, { privateAddresses, exit }, ...rest) =>
  real.addressesOf(host, { privateAddresses: privateAddresses || off('exit-address'), exit }, ...rest);
`,
  'sidecar/wire/fields.ts': `
const FRAMING = ['content-length', 'transfer-encoding'];
export function endToEnd(raw) {
  const kept = real.endToEnd(raw);
  return off('upgrade-body') ? kept.filter((_, i) => !FRAMING.includes(kept[i & ~1])) : kept;
}
export const valuesOf = (raw, name) => (FRAMING.includes(name) && off('upgrade-body') ? [] : real.valuesOf(raw, name));
`,
  'sidecar/call/streams.ts': `
export function createRunningCalls(...given) {
  const running = real.createRunningCalls(...given);
  return { ...running, revoke: (...asked) => (off('running-revoked') ? 0 : running.revoke(...asked)) };
}
`,
  'delegation/revocation/revocation-set.ts': `
export function createRevocationSet(...given) {
  const set = real.createRevocationSet(...given);
  const hit = (facts) => (off('revocations') ? null : set.hit(facts));
  return new Proxy(set, { get: (target, name) => (name === 'hit' ? hit : Reflect.get(target, name)) });
}
`,
  'sidecar/call/outbound/detail-shares.ts': `
export function createDetailShares(...given) {
  const shares = real.createDetailShares(...given);
  return {
    ...shares,
    take: (held, asked, types) =>
      off('details-share') && asked !== null
        ? { details: asked, divided: true, giveBack() {} }
        : shares.take(held, asked, types),
  };
}
`,
  'delegation/details/narrow-details.ts': `
export const checkDetailsNarrow = unless('details-subset', real.checkDetailsNarrow);
`,
  'authority/details/grant-details.ts': `
export function createGrantDetails(...given) {
  const details = real.createGrantDetails(...given);
  return {
    ...details,
    reserve: (grantId, asked) => (off('grant-limit') && asked !== '' ? JSON.parse(asked) : details.reserve(grantId, asked)),
  };
}
`,
  'sidecar/call/outbound/resumed.ts': `
export function readReference(headers) {
  if (!off('deferred-alone')) return real.readReference(headers);
  const at = headers.indexOf('delegation-deferred');
  return at < 0 ? null : real.readReference(['delegation-deferred', headers[at + 1]]);
}
`,
  'authority/deferred/store.ts': `
export function createDeferredStore(...given) {
  const store = real.createDeferredStore(...given);
  const held = (grant) => (grant !== null && off('deferred-holder') ? { ...grant, holder: state().facts.holder } : grant);
  return {
    ...store,
    get: (id) => held(store.get(id)),
    ofReference: (reference) => held(store.ofReference(reference)),
    use: (...asked) => store.use(...asked) || off('deferred-use'),
  };
}
`,
  'authority/deferred/checks.ts': `
export const checkState = unless('deferred-state', real.checkState);
export function checkConsent(deps, ...rest) {
  if (!off('deferred-agreed')) return real.checkConsent(deps, ...rest);
  const get = (id) => ({ ...deps.consents.get(id), deferrable: { maxS: 86_400, uses: 100 } });
  return real.checkConsent({ ...deps, consents: { ...deps.consents, get } }, ...rest);
}
`,
};
