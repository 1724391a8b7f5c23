/**
 * The morning after: a workload that was contained, or whose WIT was signed by a key that was lost, is whole again without anyone
 * removing files or starting it anew; what was stolen stays worthless.
 */
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { namedJwk } from '../ca/authorities/key-name.ts';
import { keepRevocation } from '../ca/revoke/revocations.ts';
import { readKey, readVaultParameters } from '../ca/store/key-store.ts';
import { openVault } from '../ca/store/vault.ts';
import { mintWit, parseMeshBundle } from '../identity/index.ts';
import { sha256Base64url, signCompactJws } from '../identity/jws.ts';
import { readStoredIdentity } from '../identity/own/identity-store.ts';
import { curl } from './mesh/curl.ts';
import { claimsOf, type Fields, linkParts, type Probe, startProbe } from './mesh/probe.ts';
import { runCli } from './mesh/run-cli.ts';
import { eventually, type RunningMesh, runMesh } from './mesh/running-mesh.ts';
import { twoServices, workload } from './mesh/two-services.ts';

/** Tries go on at least every 30 s. */
const RECOVERS_WITHIN_MS = 60_000;

let running: RunningMesh;
let probe: Probe;
let accessToken: string;

beforeAll(async () => {
  running = await runMesh((dir) => twoServices(dir, { accounts: { ada: 'correct horse' } }));
  ({ accessToken } = await running.signIn('ada', 'correct horse'));
  probe = await startProbe(running, accessToken);
}, 120_000);

afterAll(async () => {
  await probe?.identity.close();
  await running?.stop();
});

/** A user's request through `front` to `back`. */
async function ask(): Promise<number> {
  const entry = running.service('front').entry;
  return (await curl(`${entry}/notes`, [`Authorization: Bearer ${accessToken}`])).status;
}

async function contain(...target: string[]): Promise<Record<string, unknown>> {
  const { code, answer, stderr } = await runCli('contain', ...target, '--json', '--dir', running.dir.path);
  expect(code, stderr).toBe(0);
  return answer!;
}

function serialOf(service: string): string {
  const stored = readStoredIdentity(running.mesh.dir.file('sidecars', service));
  return stored?.issuance === null || stored === null ? '' : sha256Base64url(stored.issuance.chain[0]!);
}

async function recovered(): Promise<void> {
  await eventually(async () => ((await ask()) === 200 ? true : null), RECOVERS_WITHIN_MS);
}

test('a contained workload attests anew by itself once an operator gives it a new join token', async () => {
  expect(await ask()).toBe(200);
  const before = serialOf('back');
  await contain('--workload', 'back');
  await eventually(async () => ((await ask()) === 200 ? null : true));
  // The old token is used: nothing comes of trying, and the old certificate stays refused.
  expect(serialOf('back')).toBe(before);
  await running.mesh.joinTokenFor('back', workload('back'));
  await recovered();
  expect(serialOf('back')).not.toBe(before);
}, 120_000);

test('so does one that was down meanwhile, with the revoked identity in its file', async () => {
  running.mesh.children.get('back sidecar')!.kill('SIGKILL');
  await contain('--workload', 'back');
  const before = serialOf('back');
  await running.mesh.joinTokenFor('back', workload('back'));
  await running.mesh.children.restart('back sidecar');
  await recovered();
  expect(serialOf('back')).not.toBe(before);
}, 120_000);

test('a WIT key that was lost is replaced: what the thief signs is refused, and every workload has another WIT', async () => {
  const stolen = stolenWitKey();
  expect((await probe.present(await forgedBy(stolen))).answer.status).toBe(200);
  const { revoked } = await contain('--kid', stolen.kid);
  const { nextKid } = revoked as { nextKid: string };
  expect(nextKid).not.toBe(stolen.kid);
  await recovered();
  const bundle = parseMeshBundle(JSON.parse(readFileSync(running.mesh.file.bundleFile, 'utf8')));
  expect([...bundle.witKeys.keys()]).toEqual([nextKid]);
  await eventually(async () => ((await probe.present(await probe.chain())).answer.status === 200 ? true : null));
  const { answer } = await probe.present(await forgedBy(stolen));
  expect([answer.status, answer.code]).toEqual([403, 'delegation_revoked']);
  const changes = (await running.events('key')).flatMap(({ event }) =>
    event.body === 'key' && event.key.use === 'wit' ? [`${event.key.change} ${event.key.kid}`] : [],
  );
  expect(changes).toEqual([`published ${nextKid}`, `withdrawn ${stolen.kid}`]);
}, 120_000);

test('a CA that was killed between revoking its WIT key and replacing it replaces it as it starts', async () => {
  const { children, file, dir } = running.mesh;
  const keysOf = (): string[] => [...parseMeshBundle(JSON.parse(readFileSync(file.bundleFile, 'utf8'))).witKeys.keys()];
  const [before] = keysOf();
  children.get('ca')!.kill('SIGKILL');
  await children.get('ca')!.exited;
  // As it would have left it: its own books have the revocation, the mesh has not heard of it.
  const database = new DatabaseSync(join(dir.folder('ca'), 'ca.sqlite'));
  const revocation = { kind: 'kid', value: before!, before: Math.floor(Date.now() / 1000) } as const;
  keepRevocation(database, revocation, revocation.before + 86_400);
  database.close();
  await children.restart('ca');
  expect(keysOf()).toHaveLength(1);
  expect(keysOf()).not.toContain(before);
  await recovered();
  // The collector has the CA's live state: what the key signs is refused also where the new bundle is not known.
  const state = readFileSync(join(dir.folder('ca'), 'live-state.sqlite')).toString('latin1');
  const wal = readFileSync(join(dir.folder('ca'), 'live-state.sqlite-wal')).toString('latin1');
  expect(`${state}${wal}`).toContain(before);
}, 120_000);

interface StolenKey {
  readonly key: ReturnType<typeof readKey>;
  readonly kid: string;
}

/** As somebody who reads the CA's files has it. */
function stolenWitKey(): StolenKey {
  const { dir } = running.mesh;
  const copy = dir.folder('stolen');
  cpSync(dir.folder('ca'), copy, { recursive: true });
  const database = new DatabaseSync(join(copy, 'ca.sqlite'));
  try {
    const vault = openVault(
      readFileSync(dir.file('operator', 'ca-passphrase'), 'utf8'),
      readVaultParameters(database)!,
    );
    const key = readKey(database, vault, 'wit');
    return { key, kid: namedJwk(key).kid };
  } finally {
    database.close();
  }
}

/** A chain whose WIT the thief signed himself, with a time of issue past any revocation of today. */
async function forgedBy(stolen: StolenKey): Promise<Fields> {
  const fields = await probe.chain();
  const { certificateS256, spiffeId, witExpS, witKey } = probe.identity.current();
  const iat = Math.floor(Date.now() / 1000) + 50;
  const wit = mintWit({ sub: spiffeId, iat, exp: witExpS, jti: 'forged', linkKey: witKey, certificateS256 }, stolen);
  const [header, payload] = linkParts(fields);
  const link = signCompactJws(claimsOf(header), { ...claimsOf(payload), wth: sha256Base64url(wit) }, witKey);
  return { ...fields, 'delegation-chain': link, 'delegation-credentials': wit };
}
