/**
 * What `oidc-provider` stores (sessions, interactions, codes, tokens, grants), in our database. The library's adapter
 * contract: find, upsert, consume, destroy, and everything of a grant at once. Two additions of ours: clients come from
 * `clientOf`, and a grant ends with its tokens in one transaction, for the withdrawal of consent. Ids are bearer secrets (codes,
 * refresh tokens, session cookies), so the table holds their SHA-256 only: who reads the file can use none of them.
 */
import { hash } from 'node:crypto';
import { type Adapter, type AdapterPayload, errors } from 'oidc-provider';
import type { Clock } from '../../identity/index.ts';
import type { Database } from './database.ts';

/** Models whose `destroy` is a revocation (RFC 7009), or the second use of a token. */
const REVOCABLE: ReadonlySet<string> = new Set(['AccessToken', 'RefreshToken']);
/** That what another issuer's tokens rest on was ended; kept for longer than any of those tokens lives. */
const ENDED_MODEL = 'EndedUpstream';
const ENDED_REMEMBERED_S = 2 * 86_400;
const REPLAY_MODEL = 'ReplayDetection';
/** Expired rows that one sweep removes at most, so that it never holds the process up. */
const SWEEP_ROWS = 1_000;

/** The authority's own view of what the library stored. */
export interface OAuthStore {
  /** The factory that `oidc-provider` takes. */
  readonly adapter: (model: string) => Adapter;
  find(model: string, id: string): AdapterPayload | undefined;
  upsert(model: string, id: string, payload: AdapterPayload, expiresInS: number): void;
  /** Ends a grant: its codes, access and refresh tokens and itself. May run inside a transaction of the caller. */
  endGrant(grantId: string): void;
  /**
   * Ends what other issuers' tokens rest on, by a name: those tokens are not ours to remove, nor are all of them known here. May run
   * inside a transaction of the caller.
   */
  endUpstream(name: string): void;
  /** When that was ended last, or null. */
  endedS(name: string): number | null;
  /** Takes scopes out of a grant and of its access tokens, down to `keep`. May run inside a transaction of the caller. */
  narrowGrant(grantId: string, keep: readonly string[]): void;
  /** Removes what is past its end. */
  sweep(): void;
}

/**
 * Makes the store. `clientOf` finds clients that are not configured but follow from elsewhere (the mesh's entries).
 * `onTokensRevoked` runs in the transaction in which the library takes back the tokens of a grant.
 */
export function createOAuthStore(
  database: Database,
  clock: Clock,
  clientOf: (id: string) => AdapterPayload | undefined,
  onTokensRevoked: (grantId: string) => void = () => {},
): OAuthStore {
  const { sql } = database;
  const select = sql.prepare('SELECT payload, expires_s FROM oauth WHERE model = ? AND id = ?');
  const selectByUid = sql.prepare('SELECT payload, expires_s FROM oauth WHERE model = ? AND uid = ?');
  const insert = sql.prepare(
    'INSERT OR REPLACE INTO oauth (model, id, payload, grant_id, uid, expires_s) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const consume = sql.prepare(
    `UPDATE oauth SET payload = json_set(payload, '$.consumed', ?)
     WHERE model = ? AND id = ? AND json_extract(payload, '$.consumed') IS NULL`,
  );
  const remove = sql.prepare('DELETE FROM oauth WHERE model = ? AND id = ?');
  const removeAllOfGrant = sql.prepare('DELETE FROM oauth WHERE grant_id = ?');
  const selectTokens = sql.prepare("SELECT id, payload FROM oauth WHERE model = 'AccessToken' AND grant_id = ?");
  const update = sql.prepare('UPDATE oauth SET payload = ? WHERE model = ? AND id = ?');
  const removeExpired = sql.prepare(
    'DELETE FROM oauth WHERE rowid IN (SELECT rowid FROM oauth WHERE expires_s < ? LIMIT ?)',
  );

  const read = (row: Record<string, unknown> | undefined): AdapterPayload | undefined =>
    row === undefined || (row['expires_s'] !== null && Number(row['expires_s']) <= clock())
      ? undefined
      : (JSON.parse(String(row['payload'])) as AdapterPayload);
  const find = (model: string, id: string): AdapterPayload | undefined => {
    const payload = read(select.get(model, hashOf(id)));
    return payload === undefined ? undefined : { ...payload, jti: id };
  };
  const upsert = (model: string, id: string, payload: AdapterPayload, expiresInS: number | undefined): void => {
    const expiresS = expiresInS === undefined ? null : Math.ceil(clock() + expiresInS);
    const { jti: _, ...kept } = payload;
    insert.run(model, hashOf(id), JSON.stringify(kept), payload.grantId ?? null, payload.uid ?? null, expiresS);
  };

  /**
   * The library takes tokens back one by one and model by model. All of a grant go with the first, and what the mesh is told
   * is queued with them: no stop on the way leaves tokens gone whose roots the mesh still takes.
   */
  const revokeTokensOf = (grantId: string): void =>
    database.transaction(() => {
      if (removeAllOfGrant.run(grantId).changes > 0) onTokensRevoked(grantId);
    });

  /**
   * A DPoP proof at the token endpoint (RFC 9449 section 11.1). The library looks, waits and writes, so that two uses at once
   * would both find nothing: the second write is refused. And it forgets a proof made ahead of our clock while that is still
   * taken: twice its window covers both sides.
   */
  const rememberProof = (id: string, payload: AdapterPayload, expiresInS = 0): void => {
    if (find(REPLAY_MODEL, id) !== undefined) throw new errors.InvalidGrant('DPoP proof used before');
    upsert(REPLAY_MODEL, id, payload, 2 * expiresInS);
  };

  const endUpstream = (name: string): void =>
    upsert(ENDED_MODEL, name, { endedS: Math.floor(clock()) }, ENDED_REMEMBERED_S);

  const adapter = (model: string): Adapter => ({
    find: async (id) => (model === 'Client' ? clientOf(id) : find(model, id)),
    findByUid: async (uid) => read(selectByUid.get(model, uid)),
    findByUserCode: async () => undefined,
    upsert: async (id, payload, expiresInS) => {
      if (model === REPLAY_MODEL) rememberProof(id, payload, expiresInS);
      else upsert(model, id, payload, expiresInS);
    },
    consume: async (id) => {
      // Two uses at once: the first wins here, the second is refused, and its next try counts as reuse (OAuth 2.1 section 4.3.1).
      const { changes } = consume.run(Math.floor(clock()), model, hashOf(id));
      if (changes === 0) throw new errors.InvalidGrant('used at the same time by another request');
    },
    destroy: async (id) => {
      const grantId = REVOCABLE.has(model) ? find(model, id)?.grantId : undefined;
      if (grantId === undefined) remove.run(model, hashOf(id));
      else revokeTokensOf(grantId);
    },
    revokeByGrantId: async (grantId) => revokeTokensOf(grantId),
  });

  return {
    adapter,
    find,
    upsert,
    endUpstream,
    endedS: (name) => {
      const at = find(ENDED_MODEL, name)?.['endedS'];
      return typeof at === 'number' ? at : null;
    },
    endGrant: (grantId) => {
      // One that has ended before ends anew: tokens that were made since, and not shown yet, go with it.
      if (find('Grant', grantId)?.['upstream'] === true || find(ENDED_MODEL, grantId) !== undefined)
        endUpstream(grantId);
      removeAllOfGrant.run(grantId);
      remove.run('Grant', hashOf(grantId));
    },
    narrowGrant: (grantId, keep) => {
      const grant = find('Grant', grantId);
      if (grant === undefined) return;
      const resources = Object.entries(grant.resources ?? {}).map(([name, scope]) => [name, narrowed(scope, keep)]);
      update.run(JSON.stringify({ ...grant, resources: Object.fromEntries(resources) }), 'Grant', hashOf(grantId));
      for (const row of selectTokens.all(grantId)) {
        const token = JSON.parse(String(row['payload'])) as AdapterPayload;
        update.run(JSON.stringify({ ...token, scope: narrowed(token.scope, keep) }), 'AccessToken', String(row['id']));
      }
    },
    sweep: () => {
      removeExpired.run(Math.floor(clock()), SWEEP_ROWS);
    },
  };
}

function hashOf(id: string): string {
  return hash('sha256', id, 'base64url');
}

function narrowed(scope: string | undefined, keep: readonly string[]): string {
  return (scope ?? '')
    .split(' ')
    .filter((token) => keep.includes(token))
    .join(' ');
}
