import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { parseMeshBundle, parseSpiffeId, type TrustDomain } from '../../identity/index.ts';
import { makeKeys } from '../../identity/own/index.ts';
import { makeCsr } from '../../identity/svid/index.ts';
import type { EventBody } from '../../proto/behalf/audit/v1/audit.ts';
import type { Attestation } from '../attest/index.ts';
import { namedJwk } from '../authorities/key-name.ts';
import { openMeshDocument } from '../bundle/mesh-document.ts';
import { initCa } from '../init.ts';
import { createIssuer } from '../issue/issuer.ts';
import { keepRevocation } from '../revoke/revocations.ts';
import { openDatabase } from '../store/database.ts';
import { readChain, readKey, readVaultParameters } from '../store/key-store.ts';
import { openVault } from '../store/vault.ts';
import { type IssuanceDeps, lifeOf, runIssuance } from './issuance.ts';

const DOMAIN = 'shop.example' as TrustDomain;
const PASSPHRASE = 'correct horse battery';
const YEAR_S = 365 * 86_400;
const orders: Attestation = {
  attestor: 'join_token',
  spiffeId: parseSpiffeId('spiffe://shop.example/orders'),
  selectors: ['join_token:x'],
  entryId: null,
  ttlS: 0,
};

let dir: string;
let database: DatabaseSync;
let events: EventBody[];
let nowS: number;
let deps: IssuanceDeps;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-issuance-'));
  nowS = Math.floor(Date.now() / 1000);
  await initCa({ dataDir: dir, trustDomain: DOMAIN, passphrase: PASSPHRASE, nowS });
  database = openDatabase(dir);
  const vault = openVault(PASSPHRASE, readVaultParameters(database) ?? expect.unreachable());
  const key = readKey(database, vault, 'bundle');
  const log = pino({ level: 'silent' });
  const document = openMeshDocument({ database, dataDir: dir, key: { key, kid: namedJwk(key).kid }, log });
  const witKey = readKey(database, vault, 'wit');
  const issuer = createIssuer({
    trustDomain: DOMAIN,
    issuingKey: readKey(database, vault, 'issuing'),
    chain: readChain(database, 'issuing'),
    witKey: () => ({ key: witKey, kid: namedJwk(witKey).kid }),
    bundle: document.bundle,
    clock: () => nowS,
  });
  events = [];
  const trail = { record: async (event: EventBody) => void events.push(event) };
  deps = { database, issuer, document, trail, log, clock: () => nowS, defaultTtlS: 3600, allowShortLives: false };
});
afterEach(() => {
  database.close();
  rmSync(dir, { recursive: true });
});

function request(keys = makeKeys()) {
  return {
    csr: makeCsr(keys.tls),
    witPublicJwk: JSON.stringify(keys.link.publicKey.export({ format: 'jwk' })),
    ttlS: 0,
  };
}

test('every issuance is on record, with serial and way', async () => {
  await runIssuance(deps, 'attest', 'join_token', request(), () => orders);
  expect(events).toMatchObject([
    {
      body: 'issuance',
      issuance: {
        spiffeId: orders.spiffeId,
        attestor: 'join_token',
        operation: 'attest',
        code: '',
        notAfterS: nowS + 3600,
      },
    },
  ]);
});

test('every refusal is on record with its code and without a serial', async () => {
  const refuse = () => {
    throw new BehalfError('attestation_failed', {});
  };
  await expect(runIssuance(deps, 'attest', 'join_token', request(), refuse)).rejects.toMatchObject({
    code: 'attestation_failed',
  });
  await expect(
    runIssuance(deps, 'attest', 'join_token', { ...request(), csr: Buffer.alloc(3) }, () => orders),
  ).rejects.toMatchObject({ code: 'csr_invalid' });
  expect(
    events.map((event) => event.body === 'issuance' && [event.issuance.code, event.issuance.serial.length]),
  ).toEqual([
    ['attestation_failed', 0],
    ['csr_invalid', 0],
  ]);
});

test('what cannot be put on record is not handed out', async () => {
  const full = { record: () => Promise.reject(new BehalfError('audit_unavailable', {})) };
  await expect(
    runIssuance({ ...deps, trail: full }, 'attest', 'join_token', request(), () => orders),
  ).rejects.toMatchObject({ code: 'audit_unavailable' });
});

test('nothing is issued past the end of its issuer, and nothing at all when half of the life would be cut', async () => {
  const at = async (secondsBeforeEnd: number) => {
    nowS = deps.issuer.endsS - secondsBeforeEnd;
    return runIssuance(deps, 'attest', 'join_token', request(), () => orders);
  };
  expect(deps.issuer.endsS).toBe(nowS + YEAR_S);
  expect((await at(3000)).notAfterS).toBe(deps.issuer.endsS);
  await expect(at(1000)).rejects.toMatchObject({ code: 'issuer_expired' });
});

test('a life is the least of what is asked and what the entry gives, within bounds', () => {
  const rules = { defaultTtlS: 3600, allowShortLives: false };
  expect(lifeOf(0, 0, rules)).toBe(3600);
  expect(lifeOf(600, 0, rules)).toBe(600);
  expect(lifeOf(0, 900, rules)).toBe(900);
  expect(lifeOf(7200, 900, rules)).toBe(900);
  expect(lifeOf(20, 0, rules)).toBe(300);
  expect(lifeOf(20, 0, { ...rules, allowShortLives: true })).toBe(20);
  expect(lifeOf(1e9, 0, rules)).toBe(86_400);
});

test('a crash after the commit and before the file is written is mended at the next start', () => {
  const kid = 'p1';
  const { bundle, publish } = deps.document;
  publish((behalf) => ({
    ...behalf,
    policy_keys: [{ ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }), kid }],
  }));
  rmSync(join(dir, 'bundle.json'));
  const key = { key: generateKeyPairSync('ed25519').privateKey, kid: 'x' };
  const reopened = openMeshDocument({ database, dataDir: dir, key, log: deps.log });
  expect(reopened.bundle().sequence).toBe(bundle().sequence);
  const file = parseMeshBundle(JSON.parse(readFileSync(join(dir, 'bundle.json'), 'utf8')));
  expect(file.policyKeys.map((policy) => policy.kid)).toEqual([kid]);
});

test('what is issued in the second of a revocation is not hit by it', async () => {
  const clock = () => Date.now() / 1000;
  const before = Math.floor(clock());
  keepRevocation(database, { kind: 'workload', value: orders.spiffeId, before }, before + 3600);
  nowS = before + 1; // the issuer's clock, by the time the wait is over
  const { wit } = await runIssuance({ ...deps, clock }, 'attest', 'join_token', request(), () => orders);
  const { iat } = JSON.parse(Buffer.from(wit!.split('.')[1]!, 'base64url').toString()) as { iat: number };
  expect(clock()).toBeGreaterThanOrEqual(before + 1);
  expect(iat).toBeGreaterThan(before);
});

test('a clock that was set back to before a revocation issues nothing to whom it hits', async () => {
  keepRevocation(database, { kind: 'workload', value: orders.spiffeId, before: nowS + 60 }, nowS + 3600);
  await expect(runIssuance(deps, 'attest', 'join_token', request(), () => orders)).rejects.toMatchObject({
    code: 'peer_revoked',
  });
});
