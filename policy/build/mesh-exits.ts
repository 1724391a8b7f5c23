/**
 * `exits` of `mesh.yaml`: destinations outside the mesh, each with who answers for it and why.
 *
 *     exits:
 *       bank:
 *         owner: team-payments
 *         reason: card payments
 *         origin: https://api.bank.example
 *         from: [payments]
 *         openapi: bank.openapi.yaml            # or routes; without either every path of it
 *         own: { scopes: [] }                   # calls that belong to no user's request
 *         tls: { ca: bank-ca.pem, serverName: api.bank.example }
 *         token: { audience: "https://api.bank.example", scopes: { "payments:charge": charge }, ttlS: 120, actor: false }
 *
 * `plain: true` allows an origin without TLS, `privateAddresses: true` one on loopback or in a private network.
 */
import type { TrustDomain } from '../../identity/index.ts';
import { readScopes } from '../routes/scopes.ts';
import { MAX_EXIT_TOKEN_TTL_S, readExitName, readOrigin } from '../snapshot/parse-exits.ts';
import {
  invalid,
  join,
  readBoolean,
  readInteger,
  readList,
  readMap,
  readObject,
  readText,
} from '../snapshot/read-json.ts';
import type { SnapshotRoute } from '../snapshot/snapshot.ts';
import type { RouteSource } from './route-source.ts';

/** As `SnapshotExit`, with what the folder's files and names have yet to become. */
export interface MeshExit {
  readonly name: string;
  readonly owner: string;
  readonly reason: string;
  readonly origin: string;
  /** Names or SPIFFE IDs. */
  readonly from: readonly string[];
  readonly routes: RouteSource;
  readonly own: readonly string[] | null;
  readonly private_addresses: boolean;
  readonly tls: { readonly server_name: string | null } | null;
  /** PEM file of the folder. */
  readonly caFile: string | null;
  readonly token: {
    readonly audience: unknown;
    readonly client_id: unknown;
    readonly scopes: { readonly [scope: string]: unknown };
    readonly ttl_s: number;
    readonly actor: boolean;
  } | null;
}

const DEFAULT_TTL_S = 120;

const MAX_ID_LENGTH = 255;

/** Any operation, for an exit that names none. */
const ANY_ROUTE: SnapshotRoute = {
  method: '*',
  template: '/{+path}',
  operation: 'any',
  scopes: [],
  passes: [],
  fresh: false,
  bind: 'none',
  details: [],
};

type ReadRoutes = (
  sources: { readonly openapi?: unknown; readonly proto?: unknown; readonly routes?: unknown },
  at: string,
) => RouteSource;

/** What an exit shares with the rest of `mesh.yaml`. */
export interface ExitParts {
  readonly trustDomain: TrustDomain;
  readonly readRoutes: ReadRoutes;
}

/** @throws {BehalfError} `snapshot_invalid` */
export function readMeshExit(
  name: string,
  value: unknown,
  at: string,
  { trustDomain, readRoutes }: ExitParts,
): MeshExit {
  const object = readObject(
    value,
    at,
    ['owner', 'reason', 'origin', 'from'],
    ['openapi', 'proto', 'routes', 'own', 'plain', 'privateAddresses', 'tls', 'token'],
  );
  const { openapi, proto, routes } = object;
  const origin = readOrigin(object.origin, join(at, 'origin'));
  const isPlain = origin.startsWith('http:');
  if (isPlain && !flag(object.plain, join(at, 'plain')))
    throw invalid(join(at, 'origin'), 'has no TLS; write `plain: true` to send without it');
  if (isPlain && object.tls !== undefined) throw invalid(join(at, 'tls'), 'does not fit the origin');
  if (isPlain && object.token !== undefined) throw invalid(join(at, 'token'), 'would go out without TLS');
  const tls = readObject(object.tls ?? {}, join(at, 'tls'), [], ['ca', 'serverName']);
  return {
    name: readExitName(name, at),
    owner: readText(object.owner, join(at, 'owner')),
    reason: readText(object.reason, join(at, 'reason')),
    origin,
    from: readList(object.from, join(at, 'from'), (one, place) => readText(one, place, MAX_ID_LENGTH)),
    routes:
      openapi === undefined && proto === undefined && routes === undefined
        ? { kind: 'routes', routes: [ANY_ROUTE] }
        : readRoutes({ openapi, proto, routes }, at),
    own: object.own === undefined ? null : readOwn(object.own, join(at, 'own')),
    private_addresses: flag(object.privateAddresses, join(at, 'privateAddresses')),
    tls: isPlain
      ? null
      : { server_name: tls.serverName === undefined ? null : readText(tls.serverName, join(at, 'tls.serverName')) },
    caFile: tls.ca === undefined ? null : readText(tls.ca, join(at, 'tls.ca')),
    token: object.token === undefined ? null : readToken(object.token, join(at, 'token'), trustDomain),
  };
}

function readToken(value: unknown, at: string, trustDomain: TrustDomain): MeshExit['token'] {
  const { audience, clientId, scopes, ttlS, actor } = readObject(
    value,
    at,
    ['audience', 'scopes'],
    ['clientId', 'ttlS', 'actor'],
  );
  return {
    audience,
    client_id: clientId ?? trustDomain,
    scopes: Object.fromEntries(readMap(scopes, join(at, 'scopes'))),
    ttl_s: ttlS === undefined ? DEFAULT_TTL_S : readInteger(ttlS, join(at, 'ttlS'), 1, MAX_EXIT_TOKEN_TTL_S),
    actor: flag(actor, join(at, 'actor')),
  };
}

function readOwn(value: unknown, at: string): readonly string[] {
  return readScopes(readObject(value, at, ['scopes']).scopes, join(at, 'scopes'));
}

function flag(value: unknown, at: string): boolean {
  return value === undefined ? false : readBoolean(value, at);
}
