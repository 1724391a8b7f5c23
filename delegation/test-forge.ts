/**
 * Chains as an attacker with valid keys, or a broken implementation, would make them: any claim changed, added or left out, the
 * rest computed and signed correctly. For tests and for making vectors.
 */
import type { KeyObject } from 'node:crypto';
import { sha256Base64url, signCompactJws } from '../identity/jws.ts';
import type { ChainHeaders } from './chain/index.ts';
import type { TestMesh } from './test-mesh.ts';

/** Members to write; `undefined` leaves one out. */
export type Changes = Readonly<Record<string, unknown>>;

export interface ForgedHop {
  /** Name of the workload handed to. */
  readonly to: string;
  /** Who signs; the holder unless said otherwise. */
  readonly by?: string;
  readonly claims?: Changes;
  readonly header?: Changes;
  /** Another WIT than the signer's. */
  readonly wit?: string;
  /** Another key than the signer's. */
  readonly key?: KeyObject;
  /** Changes the finished link, after the next one's `par_hash` was computed. */
  readonly edit?: (compact: string) => string;
}

export interface Forgery {
  readonly root?: Changes;
  readonly rootHeader?: Changes;
  readonly rootKey?: KeyObject;
  readonly hops: readonly ForgedHop[];
}

export type ForgedChain = { readonly [K in keyof ChainHeaders]: string };

/** Signs what the forgery says. */
export function forge(mesh: TestMesh, { root = {}, rootHeader = {}, rootKey, hops }: Forgery): ForgedChain {
  const rootClaims = { ...mesh.rootClaims(), ...root };
  const header = { typ: 'txntoken+jwt', alg: 'ES256', kid: mesh.rootKey.kid, ...rootHeader };
  const txnToken = signCompactJws(header, rootClaims, rootKey ?? mesh.rootKey.key);
  const links: string[] = [];
  const wits: string[] = [];
  let parent = txnToken;
  let holder = 'storefront';
  for (const hop of hops) {
    const signer = mesh.workload(hop.by ?? holder);
    const wit = hop.wit ?? signer.wit;
    const claims = { ...linkClaims(mesh, hop.to, parent, wit, links.length + 1), ...hop.claims };
    const link = signCompactJws(
      { typ: 'dlglink-1+jwt', alg: 'ES256', ...hop.header },
      claims,
      hop.key ?? signer.witKey,
    );
    links.push(hop.edit?.(link) ?? link);
    wits.push(wit);
    parent = link;
    holder = hop.to;
  }
  return { txnToken, delegationChain: links.join(', '), delegationCredentials: wits.join(', ') };
}

function linkClaims(mesh: TestMesh, to: string, parent: string, wit: string, depth: number): Changes {
  const jti = Buffer.alloc(12);
  jti.writeUInt32BE(depth);
  return {
    par_hash: sha256Base64url(parent.slice(0, parent.lastIndexOf('.'))),
    aud: mesh.workload(to).spiffeId,
    iat: mesh.nowS,
    exp: mesh.nowS + 60,
    jti: jti.toString('base64url'),
    del_depth: depth,
    wth: sha256Base64url(wit),
  };
}
