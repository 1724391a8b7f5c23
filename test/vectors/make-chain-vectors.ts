/**
 * Makes the vectors in `chain/` with the fixed keys of `keys.json`: `npx node test/vectors/make-chain-vectors.ts`. Signatures
 * differ from run to run (ECDSA is randomised), so files that are there stay, but for sentence and expectation; delete the file
 * of a case that changed.
 */
import { createPrivateKey } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { ChainVector, VectorKey } from '../../delegation/index.ts';
import { forge } from '../../delegation/test-forge.ts';
import { createTestMesh, type NamedKey, type TestKeys } from '../../delegation/test-mesh.ts';
import { publicJwkOf } from './cases/case.ts';
import { CHAIN_CASES, type ChainCase } from './cases/index.ts';
import { describeRandomCases, verdictOfLibrary } from './random-cases.ts';

const RANDOM_FILE = new URL('./chain-random.json', import.meta.url);
const FOLDER = new URL('./chain/', import.meta.url);
const JWKS = JSON.parse(readFileSync(new URL('./keys.json', import.meta.url), 'utf8')) as Record<string, VectorKey>;

/** Keeps the signatures of files that are there; with `--all` everything is signed anew. */
function writeVectors(all: boolean): void {
  mkdirSync(FOLDER, { recursive: true });
  const kept = new Map<string, ChainVector>();
  for (const file of readdirSync(FOLDER)) {
    const url = new URL(file, FOLDER);
    if (!all) kept.set(file, JSON.parse(readFileSync(url, 'utf8')));
    rmSync(url);
  }
  for (const chainCase of CHAIN_CASES) {
    const file = `${chainCase.name}.json`;
    const old = kept.get(file);
    const vector = old === undefined ? vectorOf(chainCase) : { ...old, says: chainCase.says, expect: chainCase.expect };
    writeFileSync(new URL(file, FOLDER), `${JSON.stringify(vector, null, 2)}\n`);
  }
  writeFileSync(RANDOM_FILE, `${JSON.stringify(describeRandomCases(verdictOfLibrary), null, 2)}\n`);
  process.stdout.write(`${CHAIN_CASES.length} vectors\n`);
}

/** The vector of a case, signed anew. */
export function vectorOf(
  { name, says, chain, edit, call = {}, expect }: ChainCase,
  mesh = createTestMesh({ keys: fixedKeys() }),
): ChainVector {
  const forgery = chain(mesh);
  const forged = forge(mesh, forgery);
  const headers = edit === undefined ? forged : { ...forged, ...edit(forged, mesh) };
  const { hops } = forgery;
  const me = mesh.workload(hops.at(-1)?.to ?? 'orders');
  const peer = mesh.workload(hops.at(-2)?.to ?? 'storefront');
  return {
    name,
    says,
    at: mesh.nowS,
    trust_domain: mesh.trustDomain,
    issuer: mesh.issuer,
    audience: mesh.audience,
    me: me.spiffeId,
    my_certificate: me.certificateS256,
    peer: peer.spiffeId,
    peer_certificate: peer.certificateS256,
    authority_jwks: { keys: [publicJwkOf(mesh.rootKey)] },
    bundle: { keys: [{ ...publicJwkOf(mesh.witKey), use: 'wit-svid' }] },
    txn_token: headers.txnToken,
    delegation_chain: headers.delegationChain,
    delegation_credentials: headers.delegationCredentials,
    delegation_hop: 'aG9wcHJlAAAAAAAB.0.cmVxdWVzdC1pZC0x',
    revocations: [],
    revocations_at: mesh.nowS - 1,
    allow_batch: false,
    route: 'POST /orders/{id}',
    seen_jti: [],
    seen_hops: [],
    ...(typeof call === 'function' ? call(mesh) : call),
    expect,
  };
}

/** The keys of `keys.json`: the same in every vector. */
export function fixedKeys(): TestKeys {
  return { rootKey: named('root-1'), witKey: named('wit-1'), linkKey: (name) => named(name).key };
}

function named(name: string): NamedKey {
  const key = JWKS[name];
  if (key === undefined) throw new Error(`keys.json has no key ${name}`);
  return { kid: name, key: createPrivateKey({ key, format: 'jwk' }) };
}

if (import.meta.main) writeVectors(process.argv.includes('--all'));
