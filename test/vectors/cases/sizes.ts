/** Chains of an exact size. */
import { type ForgedChain, type Forgery, forge } from '../../../delegation/test-forge.ts';
import type { TestMesh } from '../../../delegation/test-mesh.ts';
import { names } from './case.ts';

/** Eight links, and a root filled up until the three values together are so long. */
export function chainOfSize(size: number) {
  return (mesh: TestMesh): Forgery =>
    filled(mesh, size, (pad) => ({
      root: { later: 'x'.repeat(pad) },
      hops: names(8).map((hop, i) => (i === 7 ? hop : { ...hop, claims: { rte: 'x'.repeat(540) } })),
    }));
}

/** Two links, of which the first is so long. */
export function linkOfSize(size: number) {
  return (mesh: TestMesh): Forgery =>
    filled(
      mesh,
      size,
      (pad) => ({ hops: [{ to: 'orders', claims: { rte: 'x'.repeat(pad) } }, { to: 'payments' }] }),
      ({ delegationChain }) => delegationChain.indexOf(','),
    );
}

/** The forgery of the padding that gives that size. Base64url grows by one or two characters a byte. */
function filled(
  mesh: TestMesh,
  size: number,
  forgery: (pad: number) => Forgery,
  sizeOf: (chain: ForgedChain) => number = (chain) => Object.values(chain).join('').length,
): Forgery {
  const start = Math.floor(((size - sizeOf(forge(mesh, forgery(0)))) * 3) / 4) - 3;
  for (let pad = Math.max(0, start); pad < start + 8; pad++) {
    if (sizeOf(forge(mesh, forgery(pad))) === size) return forgery(pad);
  }
  throw new Error(`no padding gives ${size} bytes`);
}
