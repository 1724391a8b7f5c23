/**
 * What a case of the chain vectors is, and short ways to say one. `says` is a sentence of `docs/delegation-chain.md`, word for
 * word (a test holds that). Each negative case differs from a good chain in what its sentence speaks of, and is otherwise signed
 * with valid keys.
 */
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ChainVector, VectorExpectation } from '../../../delegation/index.ts';
import type { ForgedChain, ForgedHop, Forgery } from '../../../delegation/test-forge.ts';
import type { TestMesh } from '../../../delegation/test-mesh.ts';
import type { ErrorCode } from '../../../errors/index.ts';
import { mintWit } from '../../../identity/wit/index.ts';

export interface ChainCase {
  readonly name: string;
  readonly says: string;
  readonly chain: (mesh: TestMesh) => Forgery;
  /** Changes header values after signing. */
  readonly edit?: (chain: ForgedChain) => { readonly [K in keyof ForgedChain]?: string | null };
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
