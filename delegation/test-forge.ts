/**
 * Chains as an attacker with valid keys, or a broken implementation, would make them: any claim changed, added or left out, the
 * rest computed and signed correctly. For tests and for making vectors.
 */
import type { KeyObject } from 'node:crypto';
import { sha256Base64url, signEs256 } from '../identity/jws.ts';
import type { ChainHeaders } from './chain/index.ts';
import type { TestMesh } from './test-mesh.ts';

/** Members to write; `undefined` leaves one out. */
export type Changes = Readonly<Record<string, unknown>>;

/** JSON text, or bytes that are none. */
export type TextEdit = (json: string) => string | Buffer;

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
  /** Changes the claims' JSON text before it is signed. */
  readonly text?: TextEdit;
  /** Changes the finished link, after the next one's `par_hash` was computed. */
  readonly edit?: (compact: string) => string;
}

export interface Forgery {
  readonly root?: Changes;
  readonly rootHeader?: Changes;
  readonly rootKey?: KeyObject;
  /** Changes the root claims' JSON text before it is signed. */
  readonly rootText?: TextEdit;
  readonly hops: readonly ForgedHop[];
}

export type ForgedChain = { readonly [K in keyof ChainHeaders]: string };

/** Signs what the forgery says. */
export function forge(mesh: TestMesh, { root = {}, rootHeader = {}, rootKey, rootText, hops }: Forgery): ForgedChain {
  const rootClaims = { ...mesh.rootClaims(), ...root };
  const head = { typ: 'txntoken+jwt', alg: 'ES256', kid: mesh.rootKey.kid, ...rootHeader };
  const txnToken = signJson(head, rootClaims, rootKey ?? mesh.rootKey.key, rootText);
  const links: string[] = [];
  const wits: string[] = [];
  let parent = txnToken;
  let holder = 'storefront';
  for (const hop of hops) {
    const signer = mesh.workload(hop.by ?? holder);
    const wit = hop.wit ?? signer.wit;
    const claims = { ...linkClaims(mesh, hop.to, parent, wit, links.length + 1), ...hop.claims };
    const header = { typ: 'dlglink-1+jwt', alg: 'ES256', ...hop.header };
    const link = signJson(header, claims, hop.key ?? signer.witKey, hop.text);
    links.push(hop.edit?.(link) ?? link);
    wits.push(wit);
    parent = link;
    holder = hop.to;
  }
  return { txnToken, delegationChain: links.join(', '), delegationCredentials: wits.join(', ') };
}

/** A compact JWS over JSON, or over what `text` makes of the payload. */
export function signJson(header: Changes, claims: Changes, key: KeyObject, text: TextEdit = (json) => json): string {
  const payload = Buffer.from(text(JSON.stringify(claims)) as string);
  const signingInput = `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${payload.toString('base64url')}`;
  return `${signingInput}.${signEs256(signingInput, key).toString('base64url')}`;
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
