/** Calls with another time, peer, verifier, route, key or live state than the chain was made for. */
import type { ChainVector } from '../../delegation/index.ts';
import type { TestMesh } from '../../delegation/test-mesh.ts';
import { SUB } from '../vectors/cases/case.ts';
import type { Question } from './odd-bytes.ts';
import { NAMES, ROUTES, someTime } from './odd-values.ts';
import type { Random } from './random.ts';

/** Around what a chain of now is first and last taken for. */
const EDGES_S = [-31, -30.5, -30, -29.5, 49.5, 59, 60, 64, 64.5, 64.999, 65, 65.5];

export function editCall(vector: Question, mesh: TestMesh, random: Random): void {
  const workload = mesh.workload(random.of(NAMES));
  switch (random.below(14)) {
    case 0:
      vector.me = workload.spiffeId;
      return;
    case 1:
      vector.peer = random.chance(0.1) ? null : workload.spiffeId;
      return;
    case 2:
      vector.peer_certificate = workload.certificateS256;
      return;
    case 3:
      vector.at = random.chance(0.3) ? someTime(mesh, random) : mesh.nowS + random.of(EDGES_S);
      vector.revocations_at = vector.at;
      return;
    case 4:
      vector.revocations_at = random.chance(0.2) ? null : someTime(mesh, random);
      return;
    case 5:
      vector.route = random.of(ROUTES);
      return;
    case 6:
      vector.issuer = 'https://elsewhere.example';
      return;
    case 7:
      vector.audience = 'spiffe://other.example/behalf/delegation';
      return;
    case 8:
      vector.authority_jwks = { keys: random.chance(0.5) ? [] : vector.bundle.keys };
      return;
    case 9:
      vector.bundle = { keys: vector.bundle.keys.map((key) => ({ ...key, use: random.of(['wit-svid', 'jwt-svid']) })) };
      return;
    case 10:
      vector.seen_jti = [1, 2, 3]
        .filter(() => random.chance(0.6))
        .map((n) => Buffer.from([0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0, 0]).toString('base64url'));
      return;
    case 11:
      vector.seen_hops = [0, 1, 2, 65_536, 65_537].filter(() => random.chance(0.3)).map(hopWith);
      return;
    default:
      vector.revocations = Array.from({ length: 1 + random.below(3) }, () => someRevocation(vector, mesh, random));
  }
}

function someRevocation({ at }: Question, mesh: TestMesh, random: Random): ChainVector['revocations'][number] {
  const before = Math.floor(at) - random.of([0, 9, 10, 11, 599, 600, 601]);
  const { spiffeId, certificateS256 } = mesh.workload(random.of(NAMES));
  const [kind, value] = random.of([
    ['txn', mesh.rootClaims().txn],
    ['sub', SUB],
    ['client', 'shop-web'],
    ['consent', 'consent-1'],
    ['grant', 'grant-1'],
    ['deferred', 'grant-7'],
    ['kid', 'root-1'],
    ['kid', 'wit-1'],
    ['workload', spiffeId],
    ['wit', `wit-of-${random.of(NAMES)}`],
    ['cert', certificateS256],
  ] as const);
  return kind === 'consent' && random.chance(0.5)
    ? { kind, value, before, version: random.below(6) }
    : { kind, value, before };
}

function hopWith(counter: number): string {
  const bytes = Buffer.alloc(12);
  bytes.write('hoppre');
  bytes.writeUIntBE(counter, 6, 6);
  return bytes.toString('base64url');
}
