/**
 * The ways into a mesh of real processes: tokens of another OpenID provider, plain, bound to a key (DPoP) and bound to a certificate,
 * over TLS and behind a load balancer; public routes; and what thieves try. Clients are Debian's curl.
 */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, hash, randomUUID, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { calculateJwkThumbprint, type JWK, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  OTHER_AUDIENCE,
  OTHER_CLIENT,
  type OtherProvider,
  startOtherProvider,
} from '../authority/testing/other-provider.ts';
import type { StateDir } from '../cli/mesh/state-dir.ts';
import { type CurlAnswer, type CurlCredentials, curl } from './mesh/curl.ts';
import { debianProgram } from './mesh/debian.ts';
import { eventually, type RunningMesh, runMesh } from './mesh/running-mesh.ts';
import { twoServices, workload } from './mesh/two-services.ts';

let other: OtherProvider;
let running: RunningMesh;
let files: { readonly server: CurlCredentials; readonly client: CurlCredentials; readonly thief: CurlCredentials };

const pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const jwk = pair.publicKey.export({ format: 'jwk' }) as JWK;

beforeAll(async () => {
  other = await startOtherProvider();
  running = await runMesh((dir) => {
    files = { server: selfSigned(dir, 'server'), client: selfSigned(dir, 'client'), thief: selfSigned(dir, 'thief') };
    const plan = twoServices(dir, { accounts: { ada: 'correct horse' } });
    const policy = String(plan.policy['mesh.yaml'])
      .replace('routes: [{', 'routes: [{ method: GET, path: "/public", scopes: [], public: true }, {')
      .replace(
        '  probe: {',
        '  gate: { owner: team-test, reason: entry, entry: { ceiling: ["notes:read"] } }\n  probe: {',
      )
      .replace('edges:', `tokenIssuers: ["${other.issuer}"]\nedges:\n  - { from: gate, to: back }`);
    const upstreamIssuers = [
      {
        issuer: other.issuer,
        audience: OTHER_AUDIENCE,
        clients: [
          {
            id: 'portal',
            upstreamId: OTHER_CLIENT,
            name: 'Portal',
            scopes: ['notes:read'],
            purpose: 'staff portal',
            until: new Date(Date.now() + 86_400_000).toISOString(),
            owner: 'it',
            reason: 'works agreement 12',
          },
        ],
      },
    ];
    return {
      ...plan,
      policy: { ...plan.policy, 'mesh.yaml': policy },
      authority: { ...plan.authority, upstreamIssuers },
      services: [
        ...plan.services.map((service) =>
          service.name === 'front'
            ? {
                ...service,
                entry: {
                  refusals: 'code' as const,
                  tls: { certificateFile: files.server.cert, keyFile: files.server.key },
                },
              }
            : service,
        ),
        {
          name: 'gate',
          id: workload('gate'),
          protocol: 'http1' as const,
          calls: ['back'],
          entry: { refusals: 'code' as const, forward: 'back', trustedProxies: ['127.0.0.1'] },
        },
      ],
    };
  });
}, 180_000);

afterAll(async () => {
  await running?.stop();
  await other?.close();
});

function selfSigned(dir: StateDir, name: string): CurlCredentials {
  const folder = dir.folder(`tls-${name}`);
  const made = { cert: `${folder}/cert.pem`, key: `${folder}/key.pem` };
  const openssl = debianProgram('openssl', 'openssl');
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
  const out = ['-keyout', made.key, '-out', made.cert, '-subj', `/CN=${name}`];
  execFileSync(openssl, ['req', '-x509', ...curve, ...out], { stdio: 'ignore' });
  return made;
}

const front = (path = '/notes'): string => `${running.service('front').entry}${path}`;
const gate = (path = '/notes'): string => `${running.service('gate').entry}${path}`;
const tokenOf = (more: object = {}): Promise<string> =>
  other.accessToken({ account: `staff-${randomUUID()}`, scope: 'notes:read', ...more });
const derOf = ({ cert }: CurlCredentials): Buffer => new X509Certificate(readFileSync(cert)).raw;
const s256 = (files: CurlCredentials): string => hash('sha256', derOf(files), 'base64url');

async function bound(): Promise<string> {
  return tokenOf({ jkt: await calculateJwkThumbprint(jwk) });
}

function proofFor(token: string, more: Record<string, unknown> = {}, key = pair): Promise<string> {
  return new SignJWT({
    jti: randomUUID(),
    htm: 'GET',
    htu: front(),
    ath: hash('sha256', token, 'base64url'),
    iat: Math.floor(Date.now() / 1000),
    ...more,
  })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.publicKey.export({ format: 'jwk' }) as JWK })
    .sign(key.privateKey);
}

const showing = (token: string, proof: string): string[] => [`Authorization: DPoP ${token}`, `DPoP: ${proof}`];
const subjectOf = ({ body }: CurlAnswer): unknown => (JSON.parse(body) as { subject: unknown }).subject;

test('a token of the other provider comes in, and its withdrawn consent stops it within seconds', async () => {
  const headers = [`Authorization: Bearer ${await tokenOf()}`];
  const first = await curl(front(), headers);
  expect(first.status, first.body).toBe(200);
  expect(subjectOf(first)).toMatch(/^u:/);
  const hop = await eventually(async () => {
    const hops = (await running.hops()).flatMap(({ event }) => (event.body === 'hop' ? [event.hop] : []));
    return hops.find(({ side, personal }) => side === 'SIDE_ENTRY' && personal?.subject === subjectOf(first)) ?? null;
  });
  expect(hop.personal).toMatchObject({ clientId: 'portal', purpose: 'staff portal' });
  const { consents: listed } = await running.consents.listConsents({ account: '' });
  const consent = listed.find(({ subject }) => subject === subjectOf(first));
  expect(consent).toMatchObject({ clientId: 'portal', state: 'active', scopes: ['notes:read'] });
  await running.consents.revokeConsent({ id: consent?.id ?? '', reason: 'left' });
  const refused = await eventually(async () => {
    const answer = await curl(front(), headers);
    return answer.status === 200 ? null : answer;
  });
  expect(refused.code).toBe('consent_withdrawn');
});

test('a DPoP-bound token comes in with a new proof each time, also where its root is reused', async () => {
  const token = await bound();
  for (let i = 0; i < 3; i += 1) {
    const answer = await curl(front(), showing(token, await proofFor(token)));
    expect(answer.status, answer.body).toBe(200);
  }
});

test('what a thief has of a DPoP-bound token opens nothing', async () => {
  const token = await bound();
  const used = await proofFor(token);
  expect((await curl(front(), showing(token, used))).status).toBe(200);
  const another = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const unbound = await tokenOf();
  for (const [what, headers] of [
    ['replayed', showing(token, used)],
    ['stolen, as Bearer', [`Authorization: Bearer ${token}`]],
    ['of another key', showing(token, await proofFor(token, {}, another))],
    ['of another method', showing(token, await proofFor(token, { htm: 'POST' }))],
    ['of another path', showing(token, await proofFor(token, { htu: front('/other') }))],
    ['of another token', showing(token, await proofFor('another'))],
    ['old', showing(token, await proofFor(token, { iat: Math.floor(Date.now() / 1000) - 120 }))],
    ['of a token that is not bound', showing(unbound, await proofFor(unbound))],
    ['without a proof', [`Authorization: DPoP ${token}`]],
    ['two proofs', [...showing(token, await proofFor(token)), `DPoP: ${await proofFor(token)}`]],
  ] as const) {
    const answer = await curl(front(), headers);
    expect([answer.status, answer.code], what).toEqual([401, 'entry_proof_invalid']);
    expect(answer.headers.get('www-authenticate'), what).toContain('DPoP');
  }
  expect((await curl(front(), showing(token, await proofFor(token)))).status).toBe(200);
});

test('a certificate-bound token comes in with that certificate alone, whatever headers say', async () => {
  const token = await tokenOf({ x5tS256: s256(files.client) });
  const headers = [`Authorization: Bearer ${token}`];
  const forged = `Client-Cert: :${derOf(files.client).toString('base64')}:`;
  expect((await curl(front(), headers, files.client)).status).toBe(200);
  for (const answer of [
    await curl(front(), headers),
    await curl(front(), headers, files.thief),
    await curl(front(), [...headers, forged]),
    await curl(front(), [...headers, forged], files.thief),
  ])
    expect([answer.status, answer.code]).toEqual([401, 'entry_proof_invalid']);
  expect((await curl(front(), headers, files.client)).status).toBe(200);
});

test('behind a load balancer its Client-Cert counts, and never goes on', async () => {
  const token = await tokenOf({ x5tS256: s256(files.client) });
  const headers = [`Authorization: Bearer ${token}`];
  const field = (shown: CurlCredentials): string => `Client-Cert: :${derOf(shown).toString('base64')}:`;
  const answer = await curl(gate(), [...headers, field(files.client)]);
  expect(answer.status, answer.body).toBe(200);
  expect((JSON.parse(answer.body) as { headers: string[] }).headers).not.toContain('client-cert');
  expect((await curl(gate(), [...headers, field(files.thief)])).code).toBe('entry_proof_invalid');
  expect((await curl(gate(), [...headers, 'Client-Cert: :AAAA:'])).code).toBe('request_malformed');
  expect((await curl(gate(), headers)).code).toBe('entry_proof_invalid');
});

test('one credential counts, and two are none', async () => {
  const token = await tokenOf();
  const bearer = `Authorization: Bearer ${token}`;
  expect((await curl(front(), [bearer, bearer])).code).toBe('entry_ambiguous');
  expect((await curl(front(), [bearer, 'Delegation-Deferred: abc'])).code).toBe('entry_ambiguous');
  const inQuery = await curl(front(`/notes?access_token=${token}`), []);
  expect([inQuery.status, inQuery.code]).toEqual([401, 'delegation_missing']);
});

test('the entry says how to come in, and public routes need nothing', async () => {
  const answer = await curl(front('/.well-known/oauth-protected-resource'), []);
  expect(JSON.parse(answer.body)).toMatchObject({
    resource: running.service('front').entry,
    authorization_servers: [running.mesh.file.authority!.issuer],
    dpop_signing_alg_values_supported: ['ES256', 'Ed25519', 'EdDSA'],
    tls_client_certificate_bound_access_tokens: true,
  });
  // front got no context and calls back with an empty one, which is refused: that is its answer to a request of nobody's.
  const open = await curl(front('/public'), []);
  expect([open.status, open.code]).toEqual([403, 'context_unknown']);
  expect(open.headers.get('www-authenticate')).toBeUndefined();
  expect((await curl(front('/public'), ['Authorization: Bearer nonsense'])).code).toBe('entry_token_invalid');
});
