/**
 * A small mesh for tests: an authority's key, a CA's key and workloads with WITs, all real, nothing simulated. It signs what a
 * test asks for, also what no part of Behalf would sign.
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { DEFAULT_CLOCK_RULE } from '../identity/clock.ts';
import { sha256Base64url } from '../identity/jws.ts';
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../identity/spiffe-id.ts';
import { mintWit } from '../identity/wit/index.ts';
import { parseChain, verifyChain } from './chain/index.ts';
import type { VerifyContext } from './context.ts';
import { type LinkOrder, mintLink, type OutgoingChain } from './link/index.ts';
import { createRevocationSet } from './revocation/index.ts';
import { defaultAudience, mintRoot, type RootClaims, verifyRoot } from './root/index.ts';
import type { VerifiedChain, VerifiedRoot } from './verified.ts';

/** A private P-256 key and the name its public half is published under. */
export interface NamedKey {
  readonly kid: string;
  readonly key: KeyObject;
}

export interface TestWorkload {
  readonly spiffeId: SpiffeId;
  readonly certificateS256: string;
  readonly wit: string;
  readonly witS256: string;
  readonly witExpS: number;
  readonly witKey: KeyObject;
}

export interface TestMesh {
  readonly trustDomain: TrustDomain;
  readonly issuer: string;
  readonly audience: string;
  readonly rootKey: NamedKey;
  readonly witKey: NamedKey;
  readonly nowS: number;
  /** The workload of that name, the same one each time. */
  workload(name: string): TestWorkload;
  rootClaims(changes?: Partial<RootClaims>): RootClaims;
  /** A root in the hand of its entry workload, `storefront` by default. */
  root(changes?: Partial<RootClaims>): VerifiedRoot;
  /** What `name` signs for `to` on a delegation that it holds. */
  link(parent: VerifiedRoot | VerifiedChain, to: string, changes?: Partial<LinkOrder>): OutgoingChain;
  /** Received by the workload that the last link names, from its signer. */
  receive(chain: OutgoingChain, changes?: Partial<VerifyContext>): VerifiedChain;
  /** What `me` brings along when `peer` calls it. */
  context(me: string, peer: string, changes?: Partial<VerifyContext>): VerifyContext;
}

export const TEST_NOW_S = 1_800_000_000;
const WIT_LIFE_S = 3600;

/** Keys for one test mesh; fresh ones unless given. `linkKey` gives each workload's. */
export interface TestKeys {
  readonly rootKey: NamedKey;
  readonly witKey: NamedKey;
  linkKey(name: string): KeyObject;
}

function freshTestKeys(): TestKeys {
  return {
    rootKey: { kid: 'root-1', key: freshKey() },
    witKey: { kid: 'wit-1', key: freshKey() },
    linkKey: freshKey,
  };
}

/** A mesh in which every workload may be called into being by its name. */
export function createTestMesh({
  keys = freshTestKeys(),
  nowS = TEST_NOW_S,
}: {
  keys?: TestKeys;
  nowS?: number;
} = {}): TestMesh {
  const trustDomain = parseTrustDomain('shop.example');
  const { rootKey, witKey } = keys;
  const workloads = new Map<string, TestWorkload>();
  const issuer = 'https://authority.shop.example';
  const audience = defaultAudience(trustDomain);
  let jtis = 0;

  function newWorkload(name: string): TestWorkload {
    const key = keys.linkKey(name);
    const spiffeId = parseSpiffeId(`spiffe://${trustDomain}/ns/demo/sa/${name}`);
    const certificateS256 = sha256Base64url(`certificate of ${name}`);
    const iat = nowS - 600;
    const exp = iat + WIT_LIFE_S;
    const wit = mintWit({ sub: spiffeId, iat, exp, jti: `wit-of-${name}`, linkKey: key, certificateS256 }, witKey);
    return { spiffeId, certificateS256, wit, witS256: sha256Base64url(wit), witExpS: exp, witKey: key };
  }

  const mesh: TestMesh = {
    trustDomain,
    issuer,
    audience,
    rootKey,
    witKey,
    nowS,
    workload(name) {
      const known = workloads.get(name) ?? newWorkload(name);
      workloads.set(name, known);
      return known;
    },
    rootClaims(changes = {}) {
      return {
        iss: issuer,
        aud: audience,
        iat: nowS - 10,
        exp: nowS + 110,
        txn: Buffer.alloc(16, 7).toString('base64url'),
        sub: `u:${Buffer.alloc(16, 9).toString('base64url')}`,
        scope: 'orders:read orders:write payments:charge',
        req_wl: mesh.workload('storefront').spiffeId,
        tctx: {
          client_id: 'shop-web',
          consent: { id: 'consent-1', version: 3 },
          grant: 'grant-1',
          purpose: 'order groceries',
        },
        ...changes,
      };
    },
    root(changes = {}) {
      const claims = mesh.rootClaims(changes);
      const context = mesh.context(nameOf(claims.req_wl), nameOf(claims.req_wl));
      return verifyRoot(mintRoot(claims, rootKey), context);
    },
    link(parent, to, changes = {}) {
      const jti = Buffer.alloc(12);
      jti.writeUInt32BE(++jtis);
      const signer = mesh.workload(nameOf(parent.holder));
      return mintLink({ parent, to: mesh.workload(to).spiffeId, signer, nowS, jti, ...changes });
    },
    receive(chain, changes = {}) {
      const parsed = parseChain(chain);
      const { aud } = parsed.last.link.claims;
      return verifyChain(parsed, mesh.context(nameOf(aud), nameOf(parsed.last.wit.spiffeId), changes));
    },
    context(me, peer, changes = {}) {
      const revocations = createRevocationSet();
      const { spiffeId, certificateS256 } = mesh.workload(peer);
      return {
        me: mesh.workload(me).spiffeId,
        nowS,
        clock: DEFAULT_CLOCK_RULE,
        trustDomain,
        issuer,
        audience,
        rootKey: (kid) => (kid === rootKey.kid ? rootKey.key : null),
        revoked: (facts) => revocations.hit(facts),
        fresh: () => undefined,
        peer: { spiffeId, certificateS256 },
        witKey: (kid) => (kid === witKey.kid ? witKey.key : null),
        route: 'POST /orders/{id}',
        myCertificateS256: mesh.workload(me).certificateS256,
        onceStore: null,
        ...changes,
      };
    },
  };
  return mesh;
}

function freshKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

function nameOf(id: SpiffeId): string {
  return id.slice(id.lastIndexOf('/') + 1);
}
