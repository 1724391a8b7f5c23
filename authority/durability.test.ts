import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BUILT_IN_DETAIL_TYPES } from '../delegation/index.ts';
import { codeOf } from '../errors/index.ts';
import { createConsents } from './consent/consents.ts';
import { createRevocations } from './consent/revocations.ts';
import { createGrantDetails } from './details/grant-details.ts';
import { openKeys } from './keys/keys.ts';
import { ROOT_KEY_LEAD_S } from './keys/root-keys.ts';
import { writeSealed } from './keys/sealed-file.ts';
import { createRevocationEffects } from './oauth/revocation-effects.ts';
import { hashPassword, openAccounts } from './sign-in/accounts.ts';
import { createSignInLimits, MAX_FAILURES_AN_ACCOUNT } from './sign-in/sign-in-limits.ts';
import { type Database, openDatabase } from './store/database.ts';
import { createOAuthStore } from './store/oauth-adapter.ts';

const clock = (): number => 1_000_000;
const SECRET = Buffer.alloc(32, 7);
let dir: string;
let database: Database;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-authority-'));
  database = openDatabase(dir);
});
afterEach(() => {
  database.close();
  rmSync(dir, { recursive: true, force: true });
});

async function setUp(revoke: () => Promise<{ number: number }>) {
  const accounts = await openAccounts(database, [{ name: 'demo', passwordHash: await hashPassword('x') }], SECRET);
  const stated: string[] = [];
  const revocations = createRevocations({
    database,
    clock,
    revoke,
    onQueued: () => undefined,
    onStated: async ({ revocation }) => {
      stated.push(revocation.value);
    },
  });
  const effects = createRevocationEffects(revocations, clock);
  const oauth = createOAuthStore(database, clock, () => undefined, effects.queue);
  const details = createGrantDetails({ database, types: () => BUILT_IN_DETAIL_TYPES });
  const consents = createConsents({ database, oauth, revocations, details, clock });
  const give = (grantId: string) =>
    consents.give({
      account: accounts.idOf('demo') ?? '',
      clientId: 'app',
      scopes: ['a', 'b'],
      purpose: '',
      untilS: clock() + 600,
      shown: '',
      deferrable: null,
      grantId,
      details: [],
    });
  return { oauth, revocations, consents, stated, give };
}

test('a withdrawal whose revocation could not be handed over is handed over later', async () => {
  const first = await setUp(async () => {
    throw new Error('the process ended here');
  });
  const { consent } = first.give('grant-1');
  const { revocationDue } = first.consents.withdraw(consent.id, 'user', '');
  await expect(first.revocations.handOver(revocationDue ?? 0)).rejects.toThrow();
  database.close();
  database = openDatabase(dir);
  const second = await setUp(async () => ({ number: 1 }));
  expect(second.consents.get(consent.id)?.state).toBe('withdrawn');
  await second.revocations.handOverAll();
  await second.revocations.handOverAll();
  expect(second.stated).toEqual([consent.id]);
});

test('tokens never go without the revocation that tells the mesh, wherever we stop', async () => {
  for (const [model, act] of [
    ['AccessToken', 'destroy'],
    ['RefreshToken', 'destroy'],
    ['RefreshToken', 'revokeByGrantId'],
  ] as const) {
    const { oauth, stated } = await setUp(async () => ({ number: 1 }));
    const grantId = `grant of ${model} ${act}`;
    oauth.upsert('AccessToken', `access ${act}`, { grantId }, 600);
    oauth.upsert('RefreshToken', `refresh ${act}`, { grantId }, 600);
    const id = model === 'AccessToken' ? `access ${act}` : `refresh ${act}`;
    await oauth.adapter(model)[act](act === 'destroy' ? id : grantId);
    // We stop here: no middleware, no event of the library has run.
    expect(oauth.find('AccessToken', `access ${act}`)).toBeUndefined();
    expect(oauth.find('RefreshToken', `refresh ${act}`)).toBeUndefined();
    await oauth.adapter('RefreshToken').revokeByGrantId(grantId);
    database.close();
    database = openDatabase(dir);
    const restarted = await setUp(async () => ({ number: 1 }));
    await restarted.revocations.handOverAll();
    expect([...stated, ...restarted.stated]).toEqual([grantId]);
  }
});

test('a revocation that cannot be stated does not keep the others waiting', async () => {
  let isBroken = true;
  const { revocations, stated } = await setUp(async () => {
    if (isBroken) {
      isBroken = false;
      throw new Error('this one fails');
    }
    return { number: 1 };
  });
  for (const value of ['first', 'second']) revocations.queue({ kind: 'grant', value, before: 1 }, 'client', '');
  await expect(revocations.handOverAll()).rejects.toThrow('this one fails');
  expect(stated).toEqual(['second']);
  await revocations.handOverAll();
  expect(stated).toEqual(['second', 'first']);
});

test('changes stay unreported until the log has them', async () => {
  const { consents, give } = await setUp(async () => ({ number: 1 }));
  const { change } = give('grant-1');
  expect(consents.unreported()).toEqual([change]);
  consents.reported(change);
  expect(consents.unreported()).toEqual([]);
});

test('the history cannot be changed or shortened', async () => {
  const { give } = await setUp(async () => ({ number: 1 }));
  give('grant-1');
  expect(() => database.sql.exec("UPDATE consent_change SET scopes = 'a b c'")).toThrow(/append-only/);
  expect(() => database.sql.exec('DELETE FROM consent_change')).toThrow(/append-only/);
});

test('a change that fails half-way leaves nothing behind', async () => {
  const { consents, give } = await setUp(async () => ({ number: 1 }));
  const { consent } = give('grant-1');
  expect(() => give('grant-1')).toThrow();
  expect(consents.get(consent.id)?.version).toBe(1);
  expect(consents.history(consent.id)).toHaveLength(1);
});

test('a withdrawal ends every token of the grant, and the table holds no usable token', async () => {
  const { oauth, consents, give } = await setUp(async () => ({ number: 1 }));
  const { consent } = give('grant-1');
  oauth.upsert('RefreshToken', 'the-refresh-token', { grantId: 'grant-1', jti: 'the-refresh-token' }, 600);
  oauth.upsert('Grant', 'grant-1', { jti: 'grant-1' }, 600);
  expect(oauth.find('RefreshToken', 'the-refresh-token')?.jti).toBe('the-refresh-token');
  expect(JSON.stringify(database.sql.prepare('SELECT * FROM oauth').all())).not.toContain('the-refresh-token');
  consents.withdraw(consent.id, 'user', '');
  expect(oauth.find('RefreshToken', 'the-refresh-token')).toBeUndefined();
  expect(oauth.find('Grant', 'grant-1')).toBeUndefined();
});

test('two uses of one refresh token at the same time: the second is refused', async () => {
  const { oauth } = await setUp(async () => ({ number: 1 }));
  const adapter = oauth.adapter('RefreshToken');
  await adapter.upsert('token', { grantId: 'g' }, 600);
  await adapter.consume('token');
  await expect(adapter.consume('token')).rejects.toMatchObject({ error: 'invalid_grant' });
});

test('two uses of one DPoP proof at the same time: the second is refused, and it is remembered past its window', async () => {
  const { oauth } = await setUp(async () => ({ number: 1 }));
  const adapter = oauth.adapter('ReplayDetection');
  await adapter.upsert('proof', { jti: 'proof' }, 300);
  await expect(adapter.upsert('proof', { jti: 'proof' }, 300)).rejects.toMatchObject({ error: 'invalid_grant' });
  const ends = database.sql.prepare("SELECT expires_s FROM oauth WHERE model = 'ReplayDetection'").get();
  expect(ends?.['expires_s']).toBe(clock() + 600);
});

test('keys come back with the passphrase and with nothing else, and rest encrypted', () => {
  const made = openKeys(dir, 'a passphrase for tests');
  const file = join(dir, 'authority-keys.json');
  expect(made.made).toHaveLength(3);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).not.toContain(String(made.root.key.export({ format: 'jwk' }).d));
  const again = openKeys(dir, 'a passphrase for tests');
  expect([again.root.kid, again.token.kid, again.liveState.kid, again.made]).toEqual([
    made.root.kid,
    made.token.kid,
    made.liveState.kid,
    [],
  ]);
  expect(() => openKeys(dir, 'another passphrase')).toThrow(expect.objectContaining({ code: 'key_unusable' }));
  const sealed = JSON.parse(readFileSync(file, 'utf8')) as { sealed: string };
  writeFileSync(
    file,
    JSON.stringify({
      ...sealed,
      sealed:
        `A${sealed.sealed.slice(1)}` === sealed.sealed ? `B${sealed.sealed.slice(1)}` : `A${sealed.sealed.slice(1)}`,
    }),
  );
  expect(() => openKeys(dir, 'a passphrase for tests')).toThrow(expect.objectContaining({ code: 'key_unusable' }));
});

test('an account keeps its id and pseudonyms over restarts, one for each audience', async () => {
  const configured = [{ name: 'demo', passwordHash: await hashPassword('x') }];
  const accounts = await openAccounts(database, configured, SECRET);
  const id = accounts.idOf('demo') ?? '';
  const mesh = accounts.pseudonymOf(id, 'mesh');
  expect(accounts.pseudonymOf(id, 'client:app')).not.toBe(mesh);
  const again = await openAccounts(database, configured, SECRET);
  expect([again.idOf('demo'), again.pseudonymOf(id, 'mesh')]).toEqual([id, mesh]);
  expect((await openAccounts(database, [], SECRET)).isActive(id)).toBe(false);
});

test('failures are counted an account, a success forgets them, and successes count for no address', () => {
  const limits = createSignInLimits(clock);
  const refused = (account: string): string => {
    try {
      limits.check(account, '127.0.0.1');
      return 'may try';
    } catch (error) {
      return codeOf(error);
    }
  };
  for (let i = 0; i < MAX_FAILURES_AN_ACCOUNT; i++) limits.failed('demo', '127.0.0.1');
  expect([refused('demo'), refused('other')]).toEqual(['rate_limited', 'may try']);
  limits.succeeded('demo', '127.0.0.1');
  expect(refused('demo')).toBe('may try');
  for (let i = 0; i < 1_000; i++) {
    limits.failed('busy', '127.0.0.1');
    limits.succeeded('busy', '127.0.0.1');
  }
  expect(refused('busy')).toBe('may try');
});

test('root keys follow one another over restarts, each published a lead before its use', () => {
  const life = { rootKeyLifeS: 10_000 };
  let nowS = 1_000_000;
  const open = () => openKeys(dir, 'a passphrase for tests', { ...life, clock: () => nowS });
  const first = open();
  const publish = (keys: typeof first) => keys.published(keys.rootJwks);
  publish(first);
  expect([first.isUnpublished, first.rotate()]).toEqual([false, []]);
  nowS += 10_000 - ROOT_KEY_LEAD_S;
  const [made] = first.rotate();
  expect(made?.change).toBe('made');
  expect(first.isUnpublished).toBe(true);
  // We stop before it is published.
  nowS += 5 * ROOT_KEY_LEAD_S;
  const second = open();
  expect([second.root.kid, second.rootJwks.length, second.made]).toEqual([first.root.kid, 2, []]);
  publish(second);
  nowS += ROOT_KEY_LEAD_S - 1;
  expect(open().root.kid).toBe(first.root.kid);
  nowS += 1;
  const third = open();
  expect(third.root.kid).toBe(made?.kid);
  expect(third.rotate()).toEqual([{ kid: first.rootJwks[0]?.kid, change: 'retired' }]);
  expect(third.rootJwks.map(({ kid }) => kid)).toEqual([first.rootJwks[0]?.kid, made?.kid]);
  expect(JSON.stringify(third.rootJwks)).not.toContain('"d"');
});

test('a revoked root key is replaced at once, and one on its way is dropped with it', () => {
  let nowS = 1_000_000;
  const open = () => openKeys(dir, 'a passphrase for tests', { rootKeyLifeS: 10_000, clock: () => nowS });
  const keys = open();
  nowS += 8_000;
  const [onItsWay] = keys.rotate();
  keys.published(keys.rootJwks);
  const revoked = keys.root.kid;
  const { next, use } = keys.replaceRoot();
  expect(keys.rootJwks.map(({ kid }) => kid)).toEqual([next.kid]);
  expect([keys.root.kid, keys.isUnpublished]).toEqual([revoked, true]);
  // Whoever publishes, a later step of the rotation perhaps: the mesh knows the key now.
  keys.published(keys.rootJwks);
  expect(keys.root.kid).toBe(next.kid);
  use();
  expect(keys.root.kid).toBe(next.kid);
  const again = open();
  expect([again.root.kid, again.rootJwks.map(({ kid }) => kid).includes(String(onItsWay?.kid))]).toEqual([
    next.kid,
    false,
  ]);
});

test('a root key that was revoked before its use is dropped, and another one follows', () => {
  let nowS = 1_000_000;
  const keys = openKeys(dir, 'a passphrase for tests', { rootKeyLifeS: 10_000, clock: () => nowS });
  nowS += 8_000;
  const [onItsWay] = keys.rotate();
  keys.dropRoot(keys.root.kid);
  keys.dropRoot('unknown');
  expect(keys.rootJwks).toHaveLength(2);
  keys.dropRoot(String(onItsWay?.kid));
  expect(keys.rootJwks.map(({ kid }) => kid)).toEqual([keys.root.kid]);
  expect(keys.rotate().map(({ change }) => change)).toEqual(['made']);
});

test('keys of the file’s first version are taken over', () => {
  const p256 = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  const root = p256();
  const ed25519 = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const file = join(dir, 'authority-keys.json');
  writeSealed(file, 'a passphrase for tests', { root, token: p256(), liveState: ed25519, secret: 'AAAA' });
  const keys = openKeys(dir, 'a passphrase for tests');
  expect(keys.root.key.export({ format: 'jwk' }).x).toBe(root.x);
  writeSealed(file, 'a passphrase for tests', { version: 3, root, token: root, liveState: ed25519, secret: 'AAAA' });
  expect(() => openKeys(dir, 'a passphrase for tests')).toThrow(expect.objectContaining({ code: 'key_unusable' }));
});

test('the database alone tells no pseudonym, and its rows cannot change places', async () => {
  const configured = [
    { name: 'ada', passwordHash: await hashPassword('x') },
    { name: 'bob', passwordHash: await hashPassword('x') },
  ];
  const accounts = await openAccounts(database, configured, SECRET);
  const [ada, bob] = [accounts.idOf('ada') ?? '', accounts.idOf('bob') ?? ''];
  const [ofAda, ofBob] = [accounts.pseudonymOf(ada, 'mesh'), accounts.pseudonymOf(bob, 'mesh')];
  expect([accounts.ofPseudonym(ofAda), accounts.ofPseudonym(ofBob), accounts.ofPseudonym('u:other')]).toEqual([
    ada,
    bob,
    null,
  ]);
  database.sql.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  const file = readFileSync(join(dir, 'authority.sqlite'), 'latin1');
  for (const secret of [ofAda, ofBob]) expect(file).not.toContain(secret);
  database.sql.exec(
    `UPDATE sealed_pseudonym SET sealed = (SELECT sealed FROM sealed_pseudonym WHERE account = '${bob}') WHERE account = '${ada}'`,
  );
  expect(() => accounts.pseudonymOf(ada, 'mesh')).toThrow(expect.objectContaining({ code: 'key_unusable' }));
  const other = await openAccounts(database, configured, Buffer.alloc(32, 8));
  expect(() => other.pseudonymOf(bob, 'mesh')).toThrow(expect.objectContaining({ code: 'key_unusable' }));
});

test('pseudonyms of an earlier version are kept, and lie open no longer', async () => {
  const configured = [{ name: 'ada', passwordHash: await hashPassword('x') }];
  const id = (await openAccounts(database, configured, SECRET)).idOf('ada') ?? '';
  const old = `u:${'A'.repeat(22)}`;
  database.sql.prepare('INSERT INTO pseudonym (account, audience, value) VALUES (?, ?, ?)').run(id, 'mesh', old);
  const accounts = await openAccounts(database, configured, SECRET);
  expect(accounts.pseudonymOf(id, 'mesh')).toBe(old);
  expect(accounts.ofPseudonym(old)).toBe(id);
  database.sql.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  expect(readFileSync(join(dir, 'authority.sqlite'), 'latin1')).not.toContain(old);
});
