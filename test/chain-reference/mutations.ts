/**
 * Random questions about chains, each from its seed and number alone: half of them chains built anew with something odd in them
 * and signed with valid keys all through, half of them good chains with odd bytes.
 */
import type { ChainVector } from '../../delegation/index.ts';
import type { Changes, ForgedHop, TextEdit } from '../../delegation/test-forge.ts';
import { createTestMesh, type TestMesh } from '../../delegation/test-mesh.ts';
import { changedWit, STRANGER, type WitChanges } from '../vectors/cases/case.ts';
import { fixedKeys, vectorOf } from '../vectors/make-chain-vectors.ts';
import { editBytes, type Question } from './odd-bytes.ts';
import { editCall } from './odd-calls.ts';
import {
  b64,
  changed,
  NAMES,
  oddText,
  oddTimes,
  oddValue,
  ROUTES,
  SCOPES,
  someDetails,
  someTime,
} from './odd-values.ts';
import { createRandom, type Random } from './random.ts';

export interface Mutation {
  readonly kind: 'structural' | 'bytes';
  readonly vector: ChainVector;
}

const ROOT_MEMBERS = ['iss', 'aud', 'iat', 'exp', 'txn', 'sub', 'scope', 'req_wl', 'tctx', 'rctx', 'later'];
const TCTX_MEMBERS = [
  'client_id',
  'consent',
  'grant',
  'purpose',
  'authorization_details',
  'acr',
  'max_depth',
  'deferred',
];
const LINK_MEMBERS =
  'par_hash aud iat exp jti del_depth wth scope authorization_details del_max_depth next rte once later'.split(' ');
const WIT_MEMBERS = ['sub', 'iat', 'nbf', 'exp', 'jti', 'cnf', 'later'];
const HEADER_MEMBERS = ['typ', 'alg', 'kid', 'jwk', 'crit'];
const HEADER_VALUES = [
  ...[
    'dlglink-1+jwt',
    'dlglink-2+jwt',
    'dlglink-02+jwt',
    'txntoken+jwt',
    'wit+jwt',
    'ES256',
    'ES256+MT',
    'none',
    'HS256',
  ],
  ...['root-1', 'wit-1', 'wit-2', '', 1, null, undefined],
];

/** Makes the mutations of one seed. */
export function createMutator(seed: string): (i: number) => Mutation {
  const mesh = createTestMesh({ keys: fixedKeys() });
  return (i) => {
    const random = createRandom(`${seed}/${i}`);
    const kind = i % 2 === 0 ? 'structural' : 'bytes';
    const vector: Question = { ...buildChain(mesh, random, kind === 'structural' ? random.of([0, 1, 1, 1, 2, 3]) : 0) };
    if (kind === 'bytes') for (let edits = 1 + random.below(3); edits > 0; edits--) editBytes(vector, random);
    if (random.chance(0.4)) editCall(vector, mesh, random);
    return { kind, vector };
  };
}

/** A chain of one to nine links, narrowed here and there, with so many oddities in it. */
function buildChain(mesh: TestMesh, random: Random, oddities: number): ChainVector {
  const hops = pathOf(random).map((to): Mutable<ForgedHop> => ({ to, claims: {} }));
  const forgery: { root: Changes; rootHeader: Changes; rootText?: TextEdit; rootKey?: typeof STRANGER } = {
    root: rootOf(mesh, random),
    rootHeader: {},
  };
  narrow(hops, mesh, random);
  for (let n = 0; n < oddities; n++) addOddity(forgery, hops, mesh, random);
  const vector = vectorOf(
    { name: 'mutation', says: '', chain: () => ({ ...forgery, hops }), expect: { ok: false, code: '' } },
    mesh,
  );
  return oddities > 0 && random.chance(0.15) ? spliced(vector, random) : vector;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function pathOf(random: Random): string[] {
  const path: string[] = [];
  let before = 'storefront';
  for (let left = random.chance(0.05) ? 8 + random.below(2) : 1 + random.below(4); left > 0; left--) {
    const others = random.chance(0.97) ? NAMES.slice(0, 4).filter((name) => name !== before) : NAMES;
    before = random.of(others);
    path.push(before);
  }
  return path;
}

function rootOf(mesh: TestMesh, random: Random): Changes {
  const roll = random.below(10);
  const { tctx } = mesh.rootClaims();
  if (roll === 0)
    return { sub: mesh.workload('storefront').spiffeId, tctx: random.chance(0.5) ? {} : { max_depth: 3 } };
  if (roll === 1) return { tctx: { ...tctx, max_depth: random.below(6), acr: 'mfa' } };
  if (roll === 2 || roll === 4) return { tctx: { ...tctx, authorization_details: someDetails(random) } };
  if (roll === 3) {
    const wl = [random.of(NAMES), random.of(NAMES)].map((name) => mesh.workload(name).spiffeId);
    const next = NAMES.filter(() => random.chance(0.9)).map((name) => mesh.workload(name).spiffeId);
    const limited = random.chance(0.3) ? { next } : {};
    return {
      tctx: { ...tctx, deferred: { ref: 'grant-7', txn: b64(random, 16), depth: random.below(3), wl, ...limited } },
    };
  }
  return {};
}

/** What an honest signer may write. */
function narrow(hops: Mutable<ForgedHop>[], mesh: TestMesh, random: Random): void {
  let scopes = SCOPES;
  for (const [i, hop] of hops.entries()) {
    const claims: Record<string, unknown> = {};
    if (random.chance(0.3)) {
      scopes = scopes.filter(() => random.chance(0.7));
      claims['scope'] = scopes.join(' ');
    }
    if (random.chance(0.1)) claims['authorization_details'] = random.chance(0.3) ? [] : someDetails(random);
    if (random.chance(0.05)) claims['del_max_depth'] = i + 1 + random.below(8);
    if (random.chance(0.05))
      claims['next'] = NAMES.filter(() => random.chance(0.8)).map((name) => mesh.workload(name).spiffeId);
    if (random.chance(0.1)) claims['rte'] = random.of(ROUTES) ?? '';
    if (random.chance(0.1)) claims['once'] = mesh.workload(random.chance(0.8) ? hop.to : 'ledger').certificateS256;
    hop.claims = claims;
  }
}

function addOddity(
  forgery: { root: Changes; rootHeader: Changes; rootText?: TextEdit; rootKey?: typeof STRANGER },
  hops: Mutable<ForgedHop>[],
  mesh: TestMesh,
  random: Random,
): void {
  const hop = random.of(hops);
  switch (random.below(13)) {
    case 0:
      forgery.root = { ...forgery.root, ...changed(ROOT_MEMBERS, mesh, random) };
      return;
    case 1: {
      const tctx = (forgery.root['tctx'] ?? mesh.rootClaims().tctx) as Changes;
      forgery.root = { ...forgery.root, tctx: { ...tctx, ...changed(TCTX_MEMBERS, mesh, random) } };
      return;
    }
    case 2:
      forgery.root = { ...forgery.root, ...oddTimes(mesh, random) };
      return;
    case 3:
      forgery.rootHeader = { [random.of(HEADER_MEMBERS)]: random.of(HEADER_VALUES) };
      return;
    case 4:
      forgery.rootText = (json) => oddText(json, random);
      return;
    case 5:
    case 6:
      hop.claims = { ...hop.claims, ...changed(LINK_MEMBERS, mesh, random) };
      return;
    case 7:
      hop.claims = { ...hop.claims, ...oddTimes(mesh, random) };
      return;
    case 8:
      hop.header = { [random.of(HEADER_MEMBERS)]: random.of(HEADER_VALUES) };
      return;
    case 9:
      hop.text = (json) => oddText(json, random);
      return;
    case 10:
      if (random.chance(0.5)) hop.key = random.chance(0.5) ? STRANGER : mesh.workload(random.of(NAMES)).witKey;
      else if (random.chance(0.3)) forgery.rootKey = STRANGER;
      else hop.by = random.of(NAMES);
      return;
    default:
      hop.wit = changedWit(mesh, random.chance(0.9) ? signerOf(hops, hop) : random.of(NAMES), oddWit(mesh, random));
  }
}

function signerOf(hops: readonly ForgedHop[], hop: ForgedHop): string {
  return hops[hops.indexOf(hop) - 1]?.to ?? 'storefront';
}

function oddWit(mesh: TestMesh, random: Random): WitChanges {
  switch (random.below(6)) {
    case 0:
      return { claims: changed(WIT_MEMBERS, mesh, random) };
    case 1:
      return { header: { [random.of(HEADER_MEMBERS)]: random.of(HEADER_VALUES) } };
    case 2:
      return { jwk: { [random.of(['kty', 'crv', 'alg', 'x', 'y', 'd'])]: oddValue(mesh, random) } };
    case 3:
      return { cnf: changed(['jwk', 'x5t#S256', 'kid'], mesh, random) };
    case 4:
      return { text: (json) => oddText(json, random) };
    default:
      return { claims: { [random.of(['iat', 'nbf', 'exp'])]: someTime(mesh, random) } };
  }
}

/** Elements of both lists left out, doubled, or in another order. */
function spliced(vector: ChainVector, random: Random): ChainVector {
  const [links, wits] = [vector.delegation_chain ?? '', vector.delegation_credentials ?? ''].map((list) =>
    list.split(', '),
  );
  const order = (links as string[]).flatMap((_, i) => (random.chance(0.2) ? [] : random.chance(0.2) ? [i, i] : [i]));
  if (random.chance(0.5)) order.sort(() => (random.chance(0.5) ? 1 : -1));
  const take = (list: readonly string[] | undefined) => order.map((i) => list?.[i]).join(', ');
  return {
    ...vector,
    delegation_chain: take(links),
    delegation_credentials: random.chance(0.9) ? take(wits) : vector.delegation_credentials,
  };
}
