/** Links, roots and WITs as an attacker writes them: whatever claims he likes, signed with whatever key he has. */
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { sha256Base64url, signCompactJws } from '../../../../identity/jws.ts';
import type { IssuedIdentity } from '../../../../identity/own/own-identity.ts';

/** The three fields of a chain, by lower-case name. */
export interface Fields {
  readonly 'txn-token': string;
  readonly 'delegation-chain': string;
  readonly 'delegation-credentials': string;
}

export type Signer = Pick<IssuedIdentity, 'wit' | 'witKey'>;
export type Claims = Readonly<Record<string, unknown>>;

export function linksOf(fields: Fields): string[] {
  return fields['delegation-chain'] === '' ? [] : fields['delegation-chain'].split(', ');
}

export function witsOf(fields: Fields): string[] {
  return fields['delegation-credentials'] === '' ? [] : fields['delegation-credentials'].split(', ');
}

/** Part 0 (header) or 1 (payload) of a compact JWS. */
export function partOf(compact: string, part: 0 | 1): Claims {
  return JSON.parse(Buffer.from(compact.split('.')[part] ?? '', 'base64url').toString('utf8')) as Claims;
}

/** The chain with one link more, right in everything but the claims that are given; `undefined` leaves one out. */
export function extend(fields: Fields, signer: Signer, aud: string, claims: Claims = {}): Fields {
  const links = linksOf(fields);
  const parent = links.at(-1) ?? fields['txn-token'];
  const { iat, exp } = partOf(parent, 1) as { iat: number; exp: number };
  const begins = Math.max(Math.floor(Date.now() / 1000), iat);
  const link = signCompactJws(
    { typ: 'dlglink-1+jwt', alg: 'ES256' },
    {
      par_hash: sha256Base64url(parent.slice(0, parent.lastIndexOf('.'))),
      aud,
      iat: begins,
      exp: Math.min(begins + 60, exp),
      jti: randomBytes(12).toString('base64url'),
      del_depth: links.length + 1,
      wth: sha256Base64url(signer.wit),
      ...claims,
    },
    signer.witKey,
  );
  return withLists(fields, [...links, link], [...witsOf(fields), signer.wit]);
}

export function withLists(fields: Fields, links: readonly string[], wits: readonly string[]): Fields {
  return { ...fields, 'delegation-chain': links.join(', '), 'delegation-credentials': wits.join(', ') };
}

/** A root alone, for links of one's own. */
export function bare(root: string): Fields {
  return { 'txn-token': root, 'delegation-chain': '', 'delegation-credentials': '' };
}

/** A token with other claims and the old signature, or signed anew with a key of one's own. */
export function tamper(compact: string, claims: Claims, key: KeyObject | null = null): string {
  const changed = { ...partOf(compact, 1), ...claims };
  if (key !== null) return signCompactJws(partOf(compact, 0), changed, key);
  const payload = Buffer.from(JSON.stringify(changed)).toString('base64url');
  const [header, , signature] = compact.split('.');
  return `${header}.${payload}.${signature}`;
}

/** One byte of the signature changed, so that it still is a form of one. */
export function flip(compact: string): string {
  const [header, payload, signature = ''] = compact.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes[7] = (bytes[7] ?? 0) ^ 1;
  return `${header}.${payload}.${bytes.toString('base64url')}`;
}

/** A WIT for anybody, on a key of the attacker's own, with the CA's key name and no key of the CA's. */
export function inventWit(model: string, claims: Claims): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' });
  const cnf = { ...(partOf(model, 1)['cnf'] as object), jwk: { kty, crv, x, y, alg: 'ES256' } };
  return { wit: tamper(model, { ...claims, cnf }, privateKey), witKey: privateKey };
}
