/** The entry listener, where users come in: more credentials than one, and tokens that are bound to a key that the thief has not. */
import { createHash, randomUUID, X509Certificate } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { obtainTokens } from '../../../../authority/headless/index.ts';
import type { OtherProvider } from '../../../../authority/testing/other-provider.ts';
import { CLIENT, SCOPES } from '../../../mesh/two-services.ts';
import { outcomeOf } from '../attacker/raw-http.ts';
import { addressOf, type Scene } from '../attacker/scene.ts';
import type { Attempt } from '../attempt.ts';
import { USERS } from '../breach-mesh.ts';
import { atLocalPort } from './handles.ts';

const PATH = '/stop';
const CERTIFICATE_BOUND = 'a user’s token that is bound to a certificate';

type Prove = (method: string, url: string, accessToken?: string) => Promise<string>;

/** A user's token that is bound to a key of the user's client, and the key. */
interface Bound {
  readonly token: string;
  readonly prove: Prove;
}

const bound = new WeakMap<Scene, Promise<Bound>>();

function boundToken(scene: Scene): Promise<Bound> {
  const known = bound.get(scene) ?? obtainBound(scene);
  bound.set(scene, known);
  return known;
}

async function obtainBound({ running }: Scene): Promise<Bound> {
  const prove = await prover();
  const { accessToken } = await obtainTokens({
    issuer: running.mesh.file.authority!.issuer,
    clientId: CLIENT.id,
    redirectUri: CLIENT.redirectUri,
    account: 'bob',
    password: USERS.bob,
    scopes: [...SCOPES],
    purpose: 'drill',
    durationS: 3_600,
    proof: prove,
  });
  return { token: accessToken, prove };
}

/** Makes DPoP proofs (RFC 9449 section 4.2) with a key of its own. */
async function prover(): Promise<Prove> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk = await exportJWK(publicKey);
  return (htm, htu, accessToken) => {
    const ath = accessToken === undefined ? {} : { ath: createHash('sha256').update(accessToken).digest('base64url') };
    return new SignJWT({ htm, htu, jti: randomUUID(), ...ath })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
      .setIssuedAt()
      .sign(privateKey);
  };
}

async function enterWith(scene: Scene, ...lines: string[]): Promise<string> {
  // As a client of the entry writes its address, for what proofs are made for.
  return outcomeOf(await scene.send({ address: scene.entry, path: PATH, host: scene.entry, lines }));
}

async function bearerOf(provider: OtherProvider, more: { readonly x5tS256?: string } = {}): Promise<string> {
  const token = await provider.accessToken({ account: 'staff', scope: 'notes:read', ...more });
  return `Authorization: Bearer ${token}`;
}

const certificateBound = ({ beyond }: Scene): Promise<string> =>
  bearerOf(beyond.named, { x5tS256: beyond.client.s256 });

export const entryAttempts: readonly Attempt[] = [
  {
    name: 'entry-with-two-users’-tokens',
    has: 'access tokens of two users',
    expect: 'entry_ambiguous',
    off: ['one-credential'],
    run: (scene) =>
      enterWith(scene, `Authorization: Bearer ${scene.tokens.ada}`, `AUTHORIZATION: Bearer ${scene.tokens.bob}`),
  },
  {
    name: 'entry-with-two-users’-tokens-in-one-field',
    has: 'access tokens of two users',
    expect: 'entry_ambiguous',
    off: ['one-credential'],
    run: (scene) => enterWith(scene, `Authorization: Bearer ${scene.tokens.ada},${scene.tokens.bob}`),
  },
  {
    name: 'bound-token-shown-as-a-bearer-token',
    has: 'a user’s access token that is bound to a key',
    expect: 'entry_proof_invalid',
    off: ['proof'],
    run: async (scene) => enterWith(scene, `Authorization: Bearer ${(await boundToken(scene)).token}`),
  },
  {
    name: 'bound-token-with-a-proof-of-another-key',
    has: 'a user’s access token that is bound to a key, a key of his own',
    expect: 'entry_proof_invalid',
    off: ['proof'],
    async run(scene) {
      const { token } = await boundToken(scene);
      const proof = await (await prover())('GET', `http://${scene.entry}${PATH}`, token);
      return enterWith(scene, `Authorization: DPoP ${token}`, `DPoP: ${proof}`);
    },
  },
  {
    name: 'bound-token-with-its-proof-used-again',
    has: 'a user’s access token that is bound to a key, a proof that the user made',
    expect: 'entry_proof_invalid',
    off: ['proof-memory'],
    async run(scene) {
      const { token, prove } = await boundToken(scene);
      const proof = await prove('GET', `http://${scene.entry}${PATH}`, token);
      await enterWith(scene, `Authorization: DPoP ${token}`, `DPoP: ${proof}`);
      return enterWith(scene, `Authorization: DPoP ${token}`, `DPoP: ${proof}`);
    },
  },
  ...(
    [
      ['another-address', ['GET', '/other'], 'bob'],
      ['another-method', ['POST', PATH], 'bob'],
      ['another-token', ['GET', PATH], 'ada'],
    ] as const
  ).map(
    ([what, [method, path], user]): Attempt => ({
      name: `bound-token-with-a-proof-for-${what}`,
      has: 'a user’s access token that is bound to a key, a proof that the user made',
      expect: 'entry_proof_invalid',
      off: ['proof-fits'],
      facts: ({ tokens }) => (user === 'ada' ? { provedToken: tokens.ada } : {}),
      async run(scene) {
        const { token, prove } = await boundToken(scene);
        const proof = await prove(method, `http://${scene.entry}${path}`, user === 'ada' ? scene.tokens.ada : token);
        return enterWith(scene, `Authorization: DPoP ${token}`, `DPoP: ${proof}`);
      },
    }),
  ),
  {
    name: 'certificate-bound-token-without-a-certificate',
    has: CERTIFICATE_BOUND,
    expect: 'entry_proof_invalid',
    off: ['proof'],
    run: async (scene) => outcomeOf(await scene.enterDesk('/leak', [await certificateBound(scene)])),
  },
  {
    name: 'certificate-bound-token-from-another-client',
    has: `${CERTIFICATE_BOUND}, a certificate of his own`,
    expect: 'entry_proof_invalid',
    off: ['proof'],
    run: async (scene) =>
      outcomeOf(await scene.enterDesk('/leak', [await certificateBound(scene)], scene.beyond.thief)),
  },
  {
    name: 'certificate-bound-token-with-the-certificate-in-a-header-field',
    has: `${CERTIFICATE_BOUND}, the client’s public certificate`,
    expect: 'entry_proof_invalid',
    off: ['trusted-proxy'],
    async run(scene) {
      const der = new X509Certificate(scene.beyond.client.cert).raw.toString('base64');
      return enterWith(scene, await certificateBound(scene), `Client-Cert: :${der}:`);
    },
  },
  {
    name: 'token-of-an-issuer-that-the-policy-does-not-name',
    has: 'a token of another OpenID provider',
    expect: 'entry_token_invalid',
    off: ['token-issuer'],
    run: async (scene) => enterWith(scene, await bearerOf(scene.beyond.unnamed)),
  },
  {
    name: 'token-beside-a-reference-of-deferred-work',
    has: 'a user’s access token, a reference',
    expect: 'entry_ambiguous',
    off: ['one-credential'],
    run: (scene) =>
      enterWith(scene, `Authorization: Bearer ${scene.tokens.ada}`, `Delegation-Deferred: ${'A'.repeat(43)}`),
  },
  {
    name: 'another-token-in-the-trailers',
    has: 'access tokens of two users',
    expect: 'request_malformed',
    off: ['trailers'],
    run: async (scene) =>
      outcomeOf(
        await scene.send({
          address: addressOf(scene.running.service('desk').entry),
          tls: null,
          method: 'POST',
          lines: [`Authorization: Bearer ${scene.tokens.ada}`],
          trailers: [`Authorization: Bearer ${scene.tokens.bob}`],
        }),
      ),
  },
  {
    name: 'forged-token-on-a-public-route',
    has: 'a user’s access token with another signature',
    expect: 'entry_token_invalid',
    off: ['credential-on-public'],
    async run(scene) {
      const forged = `${scene.tokens.ada.slice(0, -8)}AAAAAAAA`;
      const lines = [`Authorization: Bearer ${forged}`];
      return outcomeOf(await scene.send({ address: scene.entry, path: '/open', lines }));
    },
  },
  {
    name: 'public-route’s-app-calls-on',
    has: 'nothing, the app of front',
    expect: 'delegation_missing',
    off: ['trace'],
    async run(scene) {
      await scene.enter('/leak', 'ada');
      const { status, body } = await scene.send({ address: scene.entry, path: '/open', lines: [] });
      if (status !== 200 || /delegation-context/i.test(body)) return `status ${status}, or a handle`;
      return atLocalPort(scene, 'front', 'middle', ['Traceparent: none'], '/stop');
    },
  },
  {
    name: 'middle-forwards-another-provider’s-token-beside-its-chain',
    has: 'middle’s keys, a user’s token of another OpenID provider',
    expect: 'delegation_malformed',
    off: ['access-token'],
    run: async (scene) =>
      scene.present(await scene.handedOn(), { as: scene.middle, lines: [await bearerOf(scene.beyond.named)] }),
  },
  {
    name: 'route-overridden-by-a-header-field',
    has: 'a user’s own access token',
    expect: 'removed',
    off: ['route-override'],
    async run(scene) {
      const { status, body } = await scene.enter('/leak', 'ada', ['X-Original-URL: /forged', 'x_http_method: forged']);
      return status !== 200 ? `status ${status}` : body.includes('forged') ? 'reached' : 'removed';
    },
  },
];
