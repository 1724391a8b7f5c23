/**
 * What a case of the chain vectors is, and short ways to say one. `says` is a sentence of `docs/delegation-chain.md`, word for
 * word (a test holds that). Each negative case differs from a good chain in what its sentence speaks of, and is otherwise signed
 * with valid keys.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ChainVector, VectorExpectation, VectorKey } from '../../../delegation/index.ts';
import {
  type ForgedChain,
  type ForgedHop,
  type Forgery,
  signJson,
  type TextEdit,
} from '../../../delegation/test-forge.ts';
import type { NamedKey, TestMesh } from '../../../delegation/test-mesh.ts';
import type { ErrorCode } from '../../../errors/index.ts';
import { mintWit } from '../../../identity/wit/index.ts';

export interface ChainCase {
  readonly name: string;
  readonly says: string;
  readonly chain: (mesh: TestMesh) => Forgery;
  /** Changes header values after signing. */
  readonly edit?: (chain: ForgedChain, mesh: TestMesh) => { readonly [K in keyof ForgedChain]?: string | null };
  /** Changes other members of the vector. */
  readonly call?: Partial<ChainVector> | ((mesh: TestMesh) => Partial<ChainVector>);
  readonly expect: VectorExpectation;
}

export const SUB = `u:${Buffer.alloc(16, 9).toString('base64url')}`;
export const ALL = 'orders:read orders:write payments:charge';
export const STRANGER = createPrivateKey({
  key: JSON.parse(readFileSync(new URL('../keys.json', import.meta.url), 'utf8')).stranger,
  format: 'jwk',
});

export const oneHop: readonly ForgedHop[] = [{ to: 'orders' }];
export const twoHops: readonly ForgedHop[] = [{ to: 'orders' }, { to: 'payments' }];
export const good = (scope: string, depth: number): VectorExpectation => ({ ok: true, sub: SUB, scope, depth });
export const bad = (code: ErrorCode): VectorExpectation => ({ ok: false, code });
export const id = (mesh: TestMesh, name: string) => mesh.workload(name).spiffeId;

/** Two hops, of which the last link has these claims. */
export const lastLink = (claims: (mesh: TestMesh) => ForgedHop['claims']) => (mesh: TestMesh) => ({
  hops: [{ to: 'orders' }, { to: 'payments', claims: claims(mesh) ?? {} }],
});
export const lastHeader = (header: ForgedHop['header']) => () => ({
  hops: [{ to: 'orders' }, { to: 'payments', header: header ?? {} }],
});
export const root = (changes: (mesh: TestMesh) => Forgery['root']) => (mesh: TestMesh) => ({
  root: changes(mesh) ?? {},
  hops: twoHops,
});
export const asIs = () => ({ hops: twoHops });
export const names = (count: number): ForgedHop[] =>
  ['orders', 'payments', 'inventory', 'ledger', 'orders', 'payments', 'inventory', 'ledger', 'mallory']
    .slice(0, count)
    .map((to) => ({ to }));

/** A user's root with these members of `tctx` changed; `undefined` leaves one out. */
export const context = (changes: (mesh: TestMesh) => Record<string, unknown>) =>
  root((mesh) => ({ tctx: { ...mesh.rootClaims().tctx, ...changes(mesh) } }));
export const rootText = (text: TextEdit) => () => ({ rootText: text, hops: twoHops });
export const lastText = (text: TextEdit) => () => ({ hops: [{ to: 'orders' }, { to: 'payments', text }] });
/** Adds a member at the end of an object's text. */
export const adding = (member: string) => (json: string) => `${json.slice(0, -1)},${member}}`;

/** What is changed in a WIT before the CA signs it. */
export interface WitChanges {
  readonly claims?: Record<string, unknown>;
  readonly cnf?: Record<string, unknown>;
  readonly jwk?: Record<string, unknown>;
  readonly header?: Record<string, unknown>;
  readonly text?: TextEdit;
}

/** Two hops, of which the last signer has a WIT with these changes, signed by the CA. */
export const lastWit = (changes: WitChanges | ((mesh: TestMesh) => WitChanges)) => (mesh: TestMesh) => ({
  hops: [
    { to: 'orders' },
    { to: 'payments', wit: changedWit(mesh, 'orders', typeof changes === 'function' ? changes(mesh) : changes) },
  ],
});

/** The WIT of that workload with these changes, signed by the CA. */
export function changedWit(mesh: TestMesh, name: string, { claims, cnf, jwk, header, text }: WitChanges): string {
  const [, payload = ''] = mesh.workload(name).wit.split('.');
  const good = JSON.parse(Buffer.from(payload, 'base64url').toString());
  const confirmation = { ...good.cnf, jwk: { ...good.cnf.jwk, ...jwk }, ...cnf };
  const head = { typ: 'wit+jwt', alg: 'ES256', kid: mesh.witKey.kid, ...header };
  return signJson(head, { ...good, cnf: confirmation, ...claims }, mesh.witKey.key, text);
}

/** One case for each row: name, sentence, chain, code. */
export type Row = readonly [name: string, says: string, chain: ChainCase['chain'], code: ErrorCode];
export const refusedCases = (rows: readonly Row[]): readonly ChainCase[] =>
  rows.map(([name, says, chain, code]) => ({ name, says, chain, expect: bad(code) }));

/** The same signature's other form: s becomes n - s. */
export function highS(compact: string): string {
  const at = compact.lastIndexOf('.') + 1;
  const signature = Buffer.from(compact.slice(at), 'base64url');
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const mirrored = order - BigInt(`0x${signature.subarray(32).toString('hex')}`);
  return (
    compact.slice(0, at) +
    Buffer.concat([signature.subarray(0, 32), Buffer.from(mirrored.toString(16).padStart(64, '0'), 'hex')]).toString(
      'base64url',
    )
  );
}

/** A good WIT of that workload, issued at `iat` for an hour. */
export function witFor(mesh: TestMesh, name: string, iat: number, key = mesh.witKey.key): string {
  const { spiffeId, certificateS256, witKey } = mesh.workload(name);
  const claims = { sub: spiffeId, iat, exp: iat + 3600, jti: 'another', linkKey: witKey, certificateS256 };
  return mintWit(claims, { kid: mesh.witKey.kid, key });
}

/** The same WIT, signed by a key that is not the CA's. */
export function mallorysWitFor(mesh: TestMesh, name: string): string {
  return witFor(mesh, name, mesh.nowS - 600, STRANGER);
}

export function publicJwkOf({ kid, key }: NamedKey): VectorKey {
  return { ...createPublicKey(key).export({ format: 'jwk' }), kid };
}

/** A hop id of the prefix that the vectors use. */
export function hopWithCounter(counter: number): string {
  return hopId('hoppre', counter);
}

/** A hop id of the i-th of many other prefixes. */
export function prefixedHop(i: number): string {
  return hopId(`other${String.fromCharCode(i)}`, 1);
}

function hopId(prefix: string, counter: number): string {
  const bytes = Buffer.alloc(12);
  bytes.write(prefix, 'latin1');
  bytes.writeUIntBE(counter, 6, 6);
  return bytes.toString('base64url');
}
