/**
 * Strict reading of a snapshot's exits, the destinations outside the mesh (`snapshot.ts` owns their shape). What makes an exit
 * weaker than it looks is refused here: a token that goes out without TLS, an audience that is our own or another exit's.
 */
import { X509Certificate } from 'node:crypto';
import type { SpiffeId } from '../../identity/index.ts';
import { isScopeToken } from '../model/scope-token.ts';
import { readScopes } from '../routes/scopes.ts';
import { invalid, join, readBoolean, readInteger, readList, readMap, readObject, readText } from './read-json.ts';
import type { ExitTls, ExitToken, PolicySnapshot, SnapshotExit, SnapshotRoute } from './snapshot.ts';

/** Longest life of a token for an audience outside. What it gives cannot be taken back there before its end. */
export const MAX_EXIT_TOKEN_TTL_S = 300;
const MAX_EXITS = 256;
const MAX_CA_LENGTH = 65_536;
const MAX_NAME_LENGTH = 253;
const NAME = /^[a-z0-9][a-z0-9.-]{0,62}$/;

/** Readers of what exits share with the rest of the snapshot. */
export interface ExitReaders {
  id(value: unknown, place: string): SpiffeId;
  route(value: unknown, place: string): SnapshotRoute;
}

/** @throws {BehalfError} `snapshot_invalid` */
export function readExits(value: unknown, readers: ExitReaders): PolicySnapshot['exits'] {
  const entries = readMap(value, 'exits').map(([name, exit]) => {
    const place = join('exits', name);
    return [readExitName(name, place), readExit(exit, place, readers)] as const;
  });
  if (entries.length > MAX_EXITS) throw invalid('exits', `more than ${MAX_EXITS}`);
  return Object.fromEntries(entries);
}

/** Names are hosts of the app's own calls, as peers' are. @throws {BehalfError} `snapshot_invalid` */
export function readExitName(name: string, place: string): string {
  if (!NAME.test(name)) throw invalid(place, 'not a name of a-z 0-9 . -');
  return name;
}

/**
 * Scheme, host and port alone, in the form that RFC 6454 section 6.2 gives them.
 * @throws {BehalfError} `snapshot_invalid`
 */
export function readOrigin(value: unknown, place: string): string {
  const text = readText(value, place);
  const url = URL.parse(text);
  const isOrigin = url !== null && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href;
  if (!isOrigin) throw invalid(place, 'not an origin such as https://api.bank.example');
  return url.origin;
}

function readExit(value: unknown, place: string, readers: ExitReaders): SnapshotExit {
  const object = readObject(value, place, [
    'owner',
    'reason',
    'origin',
    'from',
    'routes',
    'own',
    'private_addresses',
    'tls',
    'token',
  ]);
  const origin = readOrigin(object.origin, join(place, 'origin'));
  const tls = object.tls === null ? null : readTls(object.tls, join(place, 'tls'));
  if (origin.startsWith('https:') !== (tls !== null)) throw invalid(join(place, 'tls'), 'does not fit the origin');
  const token = object.token === null ? null : readToken(object.token, join(place, 'token'));
  if (token !== null && tls === null) throw invalid(join(place, 'token'), 'would go out without TLS');
  const from = readList(object.from, join(place, 'from'), readers.id);
  if (from.length === 0) throw invalid(join(place, 'from'), 'names nobody');
  if (new Set(from).size !== from.length) throw invalid(join(place, 'from'), 'names a workload twice');
  return {
    owner: readText(object.owner, join(place, 'owner')),
    reason: readText(object.reason, join(place, 'reason')),
    origin,
    from,
    routes: readList(object.routes, join(place, 'routes'), readers.route),
    own: object.own === null ? null : readScopes(object.own, join(place, 'own')),
    private_addresses: readBoolean(object.private_addresses, join(place, 'private_addresses')),
    tls,
    token,
  };
}

function readTls(value: unknown, place: string): ExitTls {
  const { ca, server_name } = readObject(value, place, ['ca', 'server_name']);
  return {
    ca: ca === null ? null : readCa(ca, join(place, 'ca')),
    server_name: server_name === null ? null : readText(server_name, join(place, 'server_name'), MAX_NAME_LENGTH),
  };
}

/** One or more certificates of CAs. TLS would take a text without any as "trust nobody", and anything between as nothing. */
function readCa(value: unknown, place: string): string {
  const pem = readText(value, place, MAX_CA_LENGTH);
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw invalid(place, 'holds no certificate in PEM');
  for (const block of blocks) {
    const certificate = certificateOf(block);
    if (certificate === null) throw invalid(place, 'holds a certificate that cannot be read');
    if (!certificate.ca) throw invalid(place, 'holds a certificate that is no CA’s');
  }
  return pem;
}

function certificateOf(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}

function readToken(value: unknown, place: string): ExitToken {
  const { audience, client_id, scopes, ttl_s, actor } = readObject(value, place, [
    'audience',
    'client_id',
    'scopes',
    'ttl_s',
    'actor',
  ]);
  const entries = readMap(scopes, join(place, 'scopes')).map(([scope, outside]) => {
    const at = join(join(place, 'scopes'), scope);
    if (typeof outside !== 'string' || !isScopeToken(outside)) throw invalid(at, 'not a scope-token');
    return [scope, outside] as const;
  });
  return {
    audience: readAudience(audience, join(place, 'audience')),
    client_id: readVisible(client_id, join(place, 'client_id')),
    scopes: Object.fromEntries(entries),
    ttl_s: readInteger(ttl_s, join(place, 'ttl_s'), 1, MAX_EXIT_TOKEN_TTL_S),
    actor: readBoolean(actor, join(place, 'actor')),
  };
}

/** Nothing in the mesh may take such a token for one of its own: no SPIFFE ID, which all audiences within are. */
function readAudience(value: unknown, place: string): string {
  const audience = readVisible(value, place);
  if (/^spiffe:/i.test(audience)) throw invalid(place, 'is an audience within a mesh');
  return audience;
}

function readVisible(value: unknown, place: string): string {
  const text = readText(value, place, 512);
  if (!/^[\x21-\x7e]+$/.test(text)) throw invalid(place, 'not printable ASCII without spaces');
  return text;
}

/** What exits refer to must be there. @throws {BehalfError} `snapshot_invalid` */
export function checkExits(
  { exits, services, workloads }: PolicySnapshot,
  checkScopes: (scopes: readonly string[], place: string) => void,
): void {
  const audiences = new Set<string>();
  for (const [name, exit] of Object.entries(exits)) {
    const place = `exits.${name}`;
    exit.from.forEach((id, index) => {
      if (Object.hasOwn(services, id) || Object.hasOwn(workloads, id)) return;
      throw invalid(`${place}.from[${index}]`, `\`${id}\` is no service or workload here`);
    });
    exit.routes.forEach((route, index) => {
      checkScopes(route.scopes, `${place}.routes[${index}].scopes`);
      checkScopes(route.passes, `${place}.routes[${index}].passes`);
    });
    checkScopes(exit.own ?? [], `${place}.own`);
    if (exit.token === null) continue;
    checkScopes(Object.keys(exit.token.scopes), `${place}.token.scopes`);
    if (audiences.has(exit.token.audience)) throw invalid(`${place}.token.audience`, 'is another exit’s too');
    audiences.add(exit.token.audience);
  }
}
