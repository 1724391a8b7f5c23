/**
 * A second verifier of delegation chains, slow and plain, written from docs/delegation-chain.md alone (section numbers below are
 * that page's). It shares no code with delegation/ or identity/, so that both can be held against each other.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { detailsWithin } from './payment.ts';

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Obj = { [name: string]: Json };
type Deferred = { depth: number; wl: string[]; ref?: string; next?: string[] };
type Jws = { raw: string; input: string; head: Obj; body: Obj; sig: Buffer };

export interface Question {
  at: number;
  trust_domain: string;
  issuer: string;
  audience: string;
  me: string;
  my_certificate: string;
  peer: string | null;
  peer_certificate: string | null;
  authority_jwks: { keys: readonly object[] };
  bundle: { keys: readonly object[] };
  txn_token: string | null;
  delegation_chain: string | null;
  delegation_credentials: string | null;
  delegation_hop: string | null;
  revocations: readonly { kind: string; value: string; before?: number; version?: number }[];
  revocations_at: number | null;
  allow_batch: boolean;
  route: string | null;
  seen_jti: readonly string[];
  seen_hops: readonly string[];
}

export type Verdict = { ok: true; sub: string; scope: string; depth: number } | { ok: false; code: string };

class Refused extends Error {}
function must(holds: boolean, code: string): asserts holds {
  if (!holds) throw new Refused(code.startsWith('_') ? `delegation${code}` : code);
}
const form: (holds: boolean) => asserts holds = (holds) => must(holds, '_malformed');

/** Section 7. */
export function verifyReference(q: Question): Verdict {
  try {
    return verifySteps(q);
  } catch (error) {
    if (error instanceof Refused) return { ok: false, code: error.message };
    throw error;
  }
}

function verifySteps(q: Question): Verdict {
  // Step 1
  const values = [q.txn_token, q.delegation_chain, q.delegation_credentials];
  must(
    values.some((value) => value !== null),
    '_missing',
  );
  form(values.every((value) => value !== null && value !== ''));
  const [token, chain, credentials] = values as [string, string, string];
  must(token.length + chain.length + credentials.length <= 16384 && token.length <= 4096, '_too_large');
  const [links, wits] = [list(chain, 1536), list(credentials, 1024)];
  form(links.length === wits.length && ![...links, ...wits].includes(''));
  const root = readRoot(token);
  const L = links.map(readLink);
  const W = wits.map(readWit);
  const tctx = root.body.tctx as Obj;
  const deferred = (tctx.deferred ?? { depth: 0, wl: [] }) as Deferred;
  const entry = root.body.req_wl as string;
  const ids = [
    entry,
    ...deferred.wl,
    ...(deferred.next ?? []),
    ...L.flatMap(({ body }) => [body.aud, ...((body.next ?? []) as string[])]),
  ];
  const subjects = [root.body.sub, ...W.map(({ body }) => body.sub)].filter((sub) => !(sub as string).startsWith('u:'));
  form(new Set([...ids, ...subjects].map((id) => (id as string).split('/')[2])).size === 1);
  const hop = /^([\w-]{16})\.(0|[\w-]{16})\.[\w-]{16}$/.exec(q.delegation_hop ?? '')?.[1];
  form(hop !== undefined && !q.delegation_hop?.endsWith('\n'));

  // Step 2
  must(q.peer !== null && q.peer_certificate !== null, 'peer_unauthenticated');

  // Step 3
  const last = L.at(-1)!.body;
  must(last.aud === q.me, '_wrong_audience');
  must(
    W.at(-1)!.body.sub === q.peer && (W.at(-1)!.body.cnf as Obj)['x5t#S256'] === q.peer_certificate,
    '_holder_mismatch',
  );
  const holders = [entry, ...L.map(({ body }) => body.aud as string)];
  for (const [i, wit] of W.entries()) must(wit.body.sub === holders[i], '_holder_mismatch');
  for (const [i, link] of L.entries()) must(link.body.wth === sha(W[i]!.raw), '_broken_chain');
  for (const [i, link] of L.entries()) must(link.body.par_hash === sha((L[i - 1] ?? root).input), '_broken_chain');
  let least = (tctx.max_depth ?? 8) as number;
  L.forEach(({ body }, i) => {
    must(body.del_depth === deferred.depth + i + 1, '_broken_chain');
    must(((body.del_max_depth ?? 0) as number) <= least, '_too_deep');
    least = (body.del_max_depth ?? least) as number;
    must(body.del_depth <= least, '_too_deep');
  });
  for (const [i, id] of holders.entries()) must(id !== holders[i + 1], '_loop');
  for (const id of holders) must([...deferred.wl, ...holders].filter((other) => other === id).length <= 2, '_loop');
  for (const { body } of L) must(deferred.next?.includes(body.aud as string) !== false, '_broken_chain');
  L.forEach(({ body }, i) => {
    if (body.next !== undefined)
      for (const later of L.slice(i + 1))
        must((body.next as Json[]).includes(later.body.aud as string), '_broken_chain');
  });
  must(new Set(L.map(({ body }) => body.jti)).size === L.length, '_broken_chain');
  let scope = root.body.scope as string;
  for (const { body } of L) {
    const left = (body.scope ?? scope) as string;
    must(
      tokens(left).every((token) => tokens(scope).includes(token)),
      '_scope_widened',
    );
    scope = left;
  }
  let held = (tctx.authorization_details ?? []) as Obj[];
  for (const { body } of L) {
    if (body.authorization_details === undefined) continue;
    must(detailsWithin(body.authorization_details as Obj[], held), '_scope_widened');
    held = body.authorization_details as Obj[];
  }
  let parent = { iat: 0, exp: Number.MAX_SAFE_INTEGER };
  [root, ...L].forEach(({ body }, i) => {
    const { iat, exp } = body as { iat: number; exp: number };
    must(exp - iat > 0 && exp - iat <= (i === 0 ? 300 : 60), '_malformed');
    must(iat <= q.at + 30, '_not_yet_valid');
    if (i > 0) must(parent.iat <= iat && exp <= parent.exp, '_broken_chain');
    must(exp + 5 > q.at, '_expired');
    const wit = W[i - 1]?.body as { nbf: number; exp: number } | undefined;
    if (wit !== undefined) must(wit.nbf <= iat && exp <= wit.exp, '_broken_chain');
    parent = { iat, exp };
  });

  // Step 4, section 8
  must(q.revocations_at !== null && q.at - q.revocations_at <= 30, 'revocation_stale');
  const named: [kind: string, value: Json | undefined, iat: number][] = [
    ['txn', root.body.txn],
    ['sub', root.body.sub],
    ['client', tctx.client_id],
    ['consent', (tctx.consent as Obj)?.id],
    ['grant', tctx.grant],
    ['deferred', deferred.ref],
    ['kid', root.head.kid],
  ].map(([kind, value]) => [kind as string, value, root.body.iat as number]);
  for (const { head, body } of W) {
    const iat = body.iat as number;
    named.push(
      ['workload', body.sub, iat],
      ['wit', body.jti, iat],
      ['cert', (body.cnf as Obj)['x5t#S256'], iat],
      ['kid', head.kid, iat],
    );
  }
  for (const [kind, value, iat] of named) {
    for (const revocation of q.revocations) {
      if (revocation.kind !== kind || revocation.value !== value) continue;
      const byVersion = kind === 'consent' && revocation.version !== undefined;
      const hit = byVersion
        ? ((tctx.consent as Obj).version as number) < revocation.version!
        : iat <= revocation.before!;
      must(!hit, kind === 'consent' ? 'consent_withdrawn' : '_revoked');
    }
  }

  // Steps 5 and 6
  must(signed(root, keyOf(q.authority_jwks.keys, root.head.kid, [undefined, 'sig'])), '_bad_signature');
  must(root.body.iss === q.issuer, '_bad_signature');
  must(root.body.aud === q.audience, '_wrong_audience');
  L.forEach((link, i) => {
    must(signed(W[i]!, keyOf(q.bundle.keys, W[i]!.head.kid, ['wit-svid'])), '_bad_signature');
    must(signed(link, pointOf((W[i]!.body.cnf as Obj).jwk as Obj)), '_bad_signature');
  });

  // Steps 7 and 8
  must(last.rte === undefined || last.rte === q.route, '_wrong_route');
  if (last.once !== undefined) {
    must(last.once === q.my_certificate, '_wrong_audience');
    must(!q.seen_jti.includes(last.jti as string), '_replayed');
    must(new Set(q.seen_jti).size < 10_000, '_replay_store_full');
  }
  checkHop(
    hop,
    q.seen_hops.map((seen) => seen.split('.')[0]!),
  );
  return { ok: true, sub: root.body.sub as string, scope, depth: last.del_depth as number };
}

/** Section 5, hop ids. */
function checkHop(hop: string, seen: string[]): void {
  const prefix = (id: string) => id.slice(0, 8);
  const counter = (id: string) => Buffer.from(id, 'base64url').readUIntBE(6, 6);
  const before = seen.filter((id) => prefix(id) === prefix(hop)).map(counter);
  must(before.length > 0 || new Set(seen.map(prefix)).size < 256, '_replay_store_full');
  must(!before.includes(counter(hop)) && counter(hop) > Math.max(...before) - 65536, '_replayed');
}

// Section 4

function readRoot(raw: string): Jws {
  const jws = readJws(raw, 6, ['typ', 'alg', 'kid']);
  form(jws.head.typ === 'txntoken+jwt' && jws.head.alg === 'ES256' && name(jws.head.kid));
  const { body } = jws;
  const { tctx: t, sub } = body;
  form([body.iss, body.aud].every(name) && integer(body.iat) && integer(body.exp) && b64(body.txn, 16));
  form(scopeValue(body.scope) && spiffe(body.req_wl) && object(t) && (body.rctx === undefined || object(body.rctx)));
  form(text(sub) && (sub.startsWith('u:') ? b64(sub.slice(2), 16) : spiffe(sub)));
  form(t.max_depth === undefined || integer(t.max_depth));
  if (!sub.startsWith('u:')) {
    form(t.purpose === undefined || text(t.purpose));
    for (const member of ['client_id', 'consent', 'grant', 'authorization_details', 'acr', 'deferred'])
      form(t[member] === undefined);
    return jws;
  }
  const { consent, deferred: d } = t;
  form(name(t.client_id) && name(t.grant) && text(t.purpose));
  form(object(consent) && name(consent.id) && integer(consent.version));
  form(
    (t.acr === undefined || text(t.acr)) && (t.authorization_details === undefined || details(t.authorization_details)),
  );
  form(
    d === undefined ||
      (object(d) &&
        name(d.ref) &&
        b64(d.txn, 16) &&
        integer(d.depth) &&
        Array.isArray(d.wl) &&
        d.wl.every(spiffe) &&
        (d.next === undefined || (Array.isArray(d.next) && d.next.every(spiffe)))),
  );
  return jws;
}

function readLink(raw: string): Jws {
  const jws = readJws(raw, 5, null);
  const { head, body } = jws;
  const version = text(head.typ) ? /^dlglink-([1-9][0-9]*)\+jwt$/.exec(head.typ)?.[1] : undefined;
  must(version === undefined || version === '1', '_unsupported');
  form(Object.keys(head).length === 2 && text(head.typ) && text(head.alg) && version === '1');
  must(head.alg !== 'ES256+MT', '_unsupported');
  form(head.alg === 'ES256');
  const forms: Record<string, (value: Json | undefined) => boolean> = {
    par_hash: (v) => b64(v, 32),
    aud: spiffe,
    iat: integer,
    exp: integer,
    jti: (v) => b64(v, 12),
    del_depth: integer,
    wth: (v) => b64(v, 32),
    scope: scopeValue,
    authorization_details: details,
    del_max_depth: integer,
    next: (v) => Array.isArray(v) && v.every(spiffe),
    rte: text,
    once: (v) => b64(v, 32),
  };
  for (const needed of Object.keys(forms).slice(0, 7)) form(Object.hasOwn(body, needed));
  for (const [member, value] of Object.entries(body)) form(Object.hasOwn(forms, member) && forms[member]!(value));
  return jws;
}

function readWit(raw: string): Jws {
  const jws = readJws(raw, 5, ['typ', 'alg', 'kid']);
  const { head, body } = jws;
  form(head.typ === 'wit+jwt' && head.alg === 'ES256' && name(head.kid));
  form(spiffe(body.sub) && [body.iat, body.nbf, body.exp].every(integer) && name(body.jti));
  form(object(body.cnf) && b64(body.cnf['x5t#S256'], 32) && object(body.cnf.jwk));
  const { kty, crv, alg, x, y } = body.cnf.jwk;
  form(kty === 'EC' && crv === 'P-256' && alg === 'ES256' && b64(x, 32) && b64(y, 32));
  return jws;
}

// Section 2

function list(value: string, most: number): string[] {
  const elements = value.split(', ');
  must(elements.length <= 8 && elements.every((element) => element.length <= most), '_too_large');
  return elements;
}

function readJws(raw: string, depth: number, members: string[] | null): Jws {
  const parts = raw.split('.');
  form(parts.length === 3 && parts.every((part) => part !== ''));
  const [h, p, sig] = parts.map(decode) as [Buffer, Buffer, Buffer];
  const [head, body] = [strictJson(h, depth), strictJson(p, depth)];
  form(object(head) && object(body));
  if (members !== null)
    form(Object.keys(head).length === members.length && members.every((member) => text(head[member])));
  return { raw, input: raw.slice(0, raw.lastIndexOf('.')), head, body, sig };
}

function decode(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url');
  form(bytes.toString('base64url') === part);
  return bytes;
}

/** JSON.parse says whether it is RFC 8259; the tokens say whether it is stricter than that. */
function strictJson(bytes: Buffer, depth: number): Json {
  const source = bytes.toString('utf8');
  form(Buffer.from(source, 'utf8').equals(bytes) && !source.startsWith('\ufeff'));
  try {
    JSON.parse(source);
  } catch {
    form(false);
  }
  const open: { names: Set<string> | null; count: number }[] = [];
  const parts = source.match(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s"[\]{},:]+/g) ?? [];
  parts.forEach((part, i) => {
    const inner = open.at(-1);
    if (part.startsWith('"')) form((JSON.parse(part) as string).isWellFormed());
    if (/^[-0-9]/.test(part)) form(/^(0|[1-9][0-9]*)$/.test(part) && BigInt(part) < 2n ** 53n);
    if (inner !== undefined && part !== ']' && part !== '}' && (i === 0 || ['[', '{', ','].includes(parts[i - 1]!))) {
      form(++inner.count <= 64 && !inner.names?.has(JSON.parse(parts[i]!.startsWith('"') ? part : '""') as string));
      inner.names?.add(JSON.parse(part.startsWith('"') ? part : '""') as string);
    }
    if (part === '{' || part === '[') open.push({ names: part === '{' ? new Set() : null, count: 0 });
    if (part === '}' || part === ']') open.pop();
    form(open.length <= depth);
  });
  return bare(JSON.parse(source) as Json);
}

/** Without prototypes, so that `__proto__` and `constructor` are names like others. */
function bare(value: Json): Json {
  if (Array.isArray(value)) return value.map(bare);
  if (value === null || typeof value !== 'object') return value;
  return Object.assign(Object.create(null), Object.fromEntries(Object.entries(value).map(([k, v]) => [k, bare(v)])));
}

const text = (value: Json | undefined): value is string => typeof value === 'string';
const name = (value: Json | undefined): value is string => text(value) && value !== '';
const integer = (value: Json | undefined): value is number => typeof value === 'number';
const object = (value: Json | undefined): value is Obj =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const b64 = (value: Json | undefined, bytes: number) =>
  text(value) &&
  Buffer.from(value, 'base64url').length === bytes &&
  Buffer.from(value, 'base64url').toString('base64url') === value;
const details = (value: Json | undefined) =>
  Array.isArray(value) && value.every((entry) => object(entry) && name(entry.type));
const tokens = (scope: string) => (scope === '' ? [] : scope.split(' '));
const scopeValue = (value: Json | undefined) =>
  text(value) &&
  tokens(value).every((token) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(token)) &&
  new Set(tokens(value)).size === tokens(value).length;
const spiffe = (value: Json | undefined): value is string =>
  text(value) && value.length <= 255 && /^spiffe:\/\/[a-z0-9._-]+(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)+$/.test(value);
const sha = (ascii: string) => createHash('sha256').update(ascii).digest('base64url');

// Signatures

function keyOf(keys: readonly object[], kid: Json | undefined, uses: (string | undefined)[]): KeyObject | null {
  const fit = (keys as Record<string, string>[]).filter(
    (key) => key.kid === kid && uses.includes(key.use) && (key.alg ?? 'ES256') === 'ES256',
  );
  return fit.filter((key) => key.kty === 'EC' && key.crv === 'P-256').map((key) => pointOf(key))[0] ?? null;
}

function pointOf({ x, y }: { x?: Json; y?: Json }): KeyObject | null {
  try {
    return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: x as string, y: y as string }, format: 'jwk' });
  } catch {
    return null;
  }
}

function signed({ input, sig }: Jws, key: KeyObject | null): boolean {
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  if (key === null || sig.length !== 64 || BigInt(`0x${sig.subarray(32).toString('hex')}`) > order / 2n) return false;
  return verify('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }, sig);
}
