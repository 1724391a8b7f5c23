import { generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  createOnceStore,
  createRevocationSet,
  DEFAULT_CLOCK_RULE,
  defaultAudience,
  mintLink,
  mintRoot,
  mintWit,
  parseChain,
  parseSpiffeId,
  parseTrustDomain,
  type RootContext,
  sha256Base64url,
  verifyChain,
  verifyRoot,
} from 'behalf/delegation';

const trustDomain = parseTrustDomain('shop.example');
const [storefront, orders] = ['storefront', 'orders'].map((name) => parseSpiffeId(`spiffe://${trustDomain}/${name}`));
if (storefront === undefined || orders === undefined) throw new Error('two workloads');
const nowS = Math.floor(Date.now() / 1000);
const id = (bytes: number) => randomBytes(bytes).toString('base64url');
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });

// The authority and the CA have a key each, which everybody knows; the storefront has a link key, which the CA vouches for.
const authority = { kid: 'a1', ...newKey() };
const ca = { kid: 'c1', ...newKey() };
const linkKey = newKey();
const certificateS256 = sha256Base64url('the DER of the certificate of storefront’s TLS connections');
const wit = mintWit(
  { sub: storefront, iat: nowS, exp: nowS + 3600, jti: id(12), linkKey: linkKey.publicKey, certificateS256 },
  { key: ca.privateKey, kid: ca.kid },
);

// A user's request enters at the storefront: the authority signs a root.
const root = mintRoot(
  {
    iss: 'https://authority.shop.example',
    aud: defaultAudience(trustDomain),
    iat: nowS,
    exp: nowS + 120,
    txn: id(16),
    sub: `u:${id(16)}`,
    scope: 'orders:read orders:write',
    req_wl: storefront,
    tctx: { client_id: 'shop-web', consent: { id: 'c-7', version: 1 }, grant: 'g-9', purpose: 'groceries' },
  },
  { key: authority.privateKey, kid: authority.kid },
);

// What a verifier trusts, besides who it is and whom it talks to.
const revocations = createRevocationSet();
const trust: Omit<RootContext, 'me'> = {
  nowS,
  clock: DEFAULT_CLOCK_RULE,
  trustDomain,
  issuer: 'https://authority.shop.example',
  audience: defaultAudience(trustDomain),
  rootKey: (kid) => (kid === authority.kid ? authority.publicKey : null),
  revoked: (facts) => revocations.hit(facts),
  fresh: () => undefined, // throws revocation_stale where the live state is too old
};

// The storefront hands on less than it holds: three header values.
const outgoing = mintLink({
  parent: verifyRoot(root, { ...trust, me: storefront }),
  to: orders,
  signer: {
    spiffeId: storefront,
    wit,
    witS256: sha256Base64url(wit),
    witExpS: nowS + 3600,
    witKey: linkKey.privateKey,
  },
  nowS,
  jti: randomBytes(12),
  narrowTo: ['orders:read'],
});

// Orders receives them on a connection on which storefront proved its certificate.
const chain = verifyChain(parseChain(outgoing), {
  ...trust,
  me: orders,
  peer: { spiffeId: storefront, certificateS256 },
  witKey: (kid) => (kid === ca.kid ? ca.publicKey : null),
  route: 'GET /orders/{id}',
  myCertificateS256: null,
  onceStore: createOnceStore({ startedAtS: nowS }),
});
console.log(chain.actors.join(' -> '), '->', chain.holder, 'may', chain.scope.join(' '));
