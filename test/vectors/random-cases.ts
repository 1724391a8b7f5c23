/**
 * Thousands of random cases made from the vectors without signing anything, so that an implementation in any language can make
 * the same ones. Only one SHA-256 over all verdicts is kept (`chain-random.json`), which also says how they are made.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type ChainVector, verifyVector } from '../../delegation/index.ts';

const SEED = 'behalf-chain-random-v1';
const COUNT = 10_000;
const FOLDER = new URL('./chain/', import.meta.url);
const CHARACTERS = 'ABCDwxyz0189-_.=, ';
const JSON_CHARACTERS = '"{}[]:,0129aeorstuv\\ -';
const BASES = [
  'good-one-link',
  'good-two-links',
  'good-eight-links',
  'good-narrowed-twice',
  'good-own-root',
  'good-next-in-both',
  'good-rte',
  'good-once',
  'good-deferred',
  'good-json-white-space',
];
const IDS = ['storefront', 'orders', 'payments', 'inventory', 'ledger'].map(
  (name) => `spiffe://shop.example/ns/demo/sa/${name}`,
);
const ROUTES = ['POST /orders/{id}', 'GET /orders/{id}', null];
const REVOKED = [
  ['txn', 'BwcHBwcHBwcHBwcHBwcHBw'],
  ['consent', 'consent-1'],
  ['client', 'shop-web'],
  ['kid', 'root-1'],
  ['kid', 'wit-1'],
  ['workload', 'spiffe://shop.example/ns/demo/sa/orders'],
  ['wit', 'wit-of-storefront'],
  ['sub', 'u:AAAAAAAAAAAAAAAAAAAAAA'],
] as const;
const VALUES = ['txn_token', 'delegation_chain', 'delegation_credentials', 'delegation_hop'] as const;

const HOW = [
  'Case i, from 0. Its bytes are SHA-256 of the ASCII texts "<seed>/<i>/0", "<seed>/<i>/1" and so on, one after the other. draw(n) takes the next four bytes as an unsigned integer, most significant first, modulo n.',
  'The vector is bases[draw(bases.length)]. Then 1 + draw(2) edits follow, each of kind draw(8).',
  'Kinds 0, 1, 2: m = draw(4); where values[m] is empty nothing changes and nothing more is drawn; p = draw(its length). Kind 1 leaves out the character at p. Else c = draw(characters.length): kind 0 puts characters[c] in place of the character at p, kind 2 before it.',
  'Kinds 3, 4: m = draw(3); values[m] is split at ", "; e = draw(number of elements); that element is split at "."; q = draw(2); part q is decoded. Where there is no part q, or it is not canonical base64url, or empty, nothing changes and nothing more is drawn. Kind 3: p = draw(number of bytes), and that byte becomes json_characters[draw(json_characters.length)]. Kind 4: of the places of bytes 0x30 to 0x39, in order, p = draw(their number), and that byte becomes 0x30 + draw(10); where there is none, nothing changes and nothing more is drawn. The part is encoded and put back.',
  'Kind 5: m = 1 + draw(2); values[m] is split at ", "; a = draw(number of elements), b = draw(the same); elements a and b change places.',
  'Kind 6: d = draw(200) - 100 is added to at and to revocations_at.',
  'Kind 7, by draw(6): 0: me is ids[draw(5)]. 1: peer is ids[draw(5)]. 2: route is routes[draw(3)]. 3: draw(60) is taken from revocations_at. 4: the first 16 characters of delegation_hop are added to seen_hops, if they are 16 characters of base64url. 5: a revocation is added: kind and value from revoked[draw(8)], then before: at - draw(700).',
  'The verdict is a line: "ok <sub> <depth> <scope>" or the code, each ended by a line feed. sha256 is over all lines, in hex; verdicts counts them by first word.',
] as const;

export type VerdictOf = (vector: ChainVector) => string;

/** What `chain-random.json` holds. */
export function describeRandomCases(verdictOf: VerdictOf): object {
  return {
    name: 'chain-random',
    seed: SEED,
    count: COUNT,
    bases: BASES,
    values: VALUES,
    characters: CHARACTERS,
    json_characters: JSON_CHARACTERS,
    ids: IDS,
    routes: ROUTES,
    revoked: REVOKED,
    how: HOW,
    ...hashOfVerdicts(verdictOf),
  };
}

/** How often each verdict came up, and the hash over all in order. */
function hashOfVerdicts(verdictOf: VerdictOf): { verdicts: Record<string, number>; sha256: string } {
  const bases = BASES.map((name) => JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')) as ChainVector);
  const hash = createHash('sha256');
  const verdicts = new Map<string, number>();
  for (let i = 0; i < COUNT; i++) {
    const verdict = verdictOf(randomCase(bases, i));
    hash.update(`${verdict}\n`);
    const kind = verdict.split(' ', 1)[0] as string;
    verdicts.set(kind, (verdicts.get(kind) ?? 0) + 1);
  }
  return { verdicts: Object.fromEntries([...verdicts].sort()), sha256: hash.digest('hex') };
}

/** The line of the library. */
export function verdictOfLibrary(vector: ChainVector): string {
  const { ok, sub, depth, scope, code } = verifyVector(vector);
  return ok ? `ok ${sub} ${depth} ${scope}` : (code as string);
}

type Draw = (n: number) => number;
type Case = { -readonly [K in keyof ChainVector]: ChainVector[K] };

function randomCase(bases: readonly ChainVector[], i: number): ChainVector {
  const draw = drawer(i);
  const vector: Case = { ...(bases[draw(bases.length)] as ChainVector) };
  for (let edits = 1 + draw(2); edits > 0; edits--) edit(vector, draw(8), draw);
  return vector;
}

function drawer(i: number): Draw {
  let block = 0;
  let bytes = Buffer.alloc(0);
  return (n) => {
    if (bytes.length === 0) bytes = createHash('sha256').update(`${SEED}/${i}/${block++}`).digest();
    const value = bytes.readUInt32BE(0);
    bytes = bytes.subarray(4);
    return value % n;
  };
}

function edit(vector: Case, kind: number, draw: Draw): void {
  if (kind <= 2) editCharacter(vector, kind, draw);
  else if (kind <= 4) editPart(vector, kind, draw);
  else if (kind === 5) swapElements(vector, draw);
  else if (kind === 6) {
    const seconds = draw(200) - 100;
    vector.at += seconds;
    vector.revocations_at = (vector.revocations_at as number) + seconds;
  } else editCall(vector, draw);
}

function editCharacter(vector: Case, kind: number, draw: Draw): void {
  const member = VALUES[draw(4)] as (typeof VALUES)[number];
  const text = vector[member] as string;
  if (text === '') return;
  const at = draw(text.length);
  const put = kind === 1 ? '' : CHARACTERS.charAt(draw(CHARACTERS.length));
  vector[member] = text.slice(0, at) + put + text.slice(kind === 2 ? at : at + 1);
}

function editPart(vector: Case, kind: number, draw: Draw): void {
  const member = VALUES[draw(3)] as (typeof VALUES)[number];
  const elements = (vector[member] as string).split(', ');
  const element = draw(elements.length);
  const parts = (elements[element] as string).split('.');
  const part = draw(2);
  const bytes = Buffer.from(parts[part] ?? '', 'base64url');
  if (bytes.toString('base64url') !== parts[part]) return;
  const places = kind === 3 ? [...bytes.keys()] : [...bytes.keys()].filter((at) => isDigit(bytes[at] as number));
  if (places.length === 0) return;
  const at = places[draw(places.length)] as number;
  bytes[at] = kind === 3 ? JSON_CHARACTERS.charCodeAt(draw(JSON_CHARACTERS.length)) : 0x30 + draw(10);
  parts[part] = bytes.toString('base64url');
  elements[element] = parts.join('.');
  vector[member] = elements.join(', ');
}

function swapElements(vector: Case, draw: Draw): void {
  const member = VALUES[1 + draw(2)] as (typeof VALUES)[number];
  const elements = (vector[member] as string).split(', ');
  const [a, b] = [draw(elements.length), draw(elements.length)];
  [elements[a], elements[b]] = [elements[b] as string, elements[a] as string];
  vector[member] = elements.join(', ');
}

function editCall(vector: Case, draw: Draw): void {
  switch (draw(6)) {
    case 0:
      vector.me = IDS[draw(5)] as string;
      return;
    case 1:
      vector.peer = IDS[draw(5)] as string;
      return;
    case 2:
      vector.route = ROUTES[draw(3)] as string | null;
      return;
    case 3:
      vector.revocations_at = (vector.revocations_at as number) - draw(60);
      return;
    case 4: {
      const hop = (vector.delegation_hop as string).slice(0, 16);
      if (/^[A-Za-z0-9_-]{16}$/.test(hop)) vector.seen_hops = [...vector.seen_hops, hop];
      return;
    }
    default: {
      const [kind, value] = REVOKED[draw(8)] as (typeof REVOKED)[number];
      vector.revocations = [...vector.revocations, { kind, value, before: vector.at - draw(700) }];
    }
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
