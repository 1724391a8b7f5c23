/**
 * The mesh that is attacked: users enter at `front`, which calls `middle`, which calls `back` and `vault`. `front` hands on only
 * reading, and only as far as `back`. The attacker has `middle`: its app, its sidecar, its keys. `mallory` is a workload that may call
 * nobody, `probe` one that may call `back` and `desk` and is an entry. Users enter at `desk`, too: over TLS, its app finds requests by
 * trace id, pays, puts work off, and calls servers outside.
 */
import { fileURLToPath } from 'node:url';
import { OTHER_AUDIENCE, OTHER_CLIENT } from '../../../authority/testing/other-provider.ts';
import type { MeshPlan, ServicePlan } from '../../../cli/mesh/plan.ts';
import type { StateDir } from '../../../cli/mesh/state-dir.ts';
import { CLIENT, SCOPES, TEST_DOMAIN, workload } from '../../mesh/two-services.ts';
import { BANK_NAME, type Beyond } from './attacker/beyond.ts';

export const USERS = { ada: 'correct horse', bob: 'battery staple', cyd: 'some other words' } as const;
export type User = keyof typeof USERS;

const BANK_AUDIENCE = `https://${BANK_NAME}`;

const policyOf = ({ named, bank, plain }: Beyond): string => `
trustDomain: ${TEST_DOMAIN}
scopes:
  notes:admin: { title: Administer, description: Administer all notes }
  notes:read: { title: Read notes, description: Read your notes }
  notes:write: { title: Write notes, description: Change your notes }
services:
  front:
    owner: drill
    reason: users enter
    routes:
      - { method: GET, path: "/open", scopes: [], public: true }
      - { method: "*", path: "/{+path}", scopes: ["notes:read"], passes: ["notes:write"] }
  desk:
    owner: drill
    reason: users enter
    routes:
      - { method: GET, path: "/pay/leak", scopes: ["notes:read"], details: [payment], fresh: true }
      - { method: "*", path: "/{+path}", scopes: ["notes:read"] }
  middle: { owner: drill, reason: the attacker has it, routes: [{ method: "*", path: "/{+path}", scopes: ["notes:read"] }] }
  back:
    owner: drill
    reason: keeps notes
    routes:
      - { method: "*", path: "/{+path}", scopes: ["notes:read"] }
      - { method: "*", path: "/write/{+path}", scopes: ["notes:write"] }
      - { method: "*", path: "/admin/{+path}", scopes: ["notes:admin"] }
      - { method: GET, path: "/fresh", scopes: ["notes:read"], fresh: true }
      - { method: GET, path: "/bound/{id}", scopes: ["notes:read"], bind: route }
      - { method: GET, path: "/paid/{id}", scopes: ["notes:read"], bind: pod }
  vault: { owner: drill, reason: keeps secrets, routes: [{ method: "*", path: "/{+path}", scopes: ["notes:read"] }] }
workloads:
  front: { owner: drill, reason: entry, entry: { ceiling: ["notes:read", "notes:write"] }, deferrable: true }
  desk: { owner: drill, reason: entry, entry: { ceiling: ["notes:read"] }, deferrable: true }
  probe: { owner: drill, reason: calls from beside, entry: { ceiling: ["notes:read", "notes:write"] } }
  mallory: { owner: drill, reason: may call nobody }
edges:
  - { from: front, to: middle, narrowTo: ["notes:read"], next: [back], maxDepth: 3 }
  - { from: middle, to: back }
  - { from: middle, to: vault }
  - { from: probe, to: back }
  - { from: probe, to: desk }
  - { from: desk, to: back }
tokenIssuers: ["${named.issuer}"]
exits:
  bank:
    owner: drill
    reason: pays
    from: [desk]
    origin: "https://127.0.0.1:${bank.port}"
    tls: { ca: bank.pem, serverName: ${BANK_NAME} }
    privateAddresses: true
    token: { audience: "${BANK_AUDIENCE}", scopes: { "notes:read": accounts } }
  machine: { owner: drill, reason: leads in, from: [desk], origin: "http://localhost:${plain.port}", plain: true }
  others: { owner: drill, reason: of front, from: [front], origin: "http://127.0.0.1:${plain.port}", plain: true, privateAddresses: true }
settings: { rootReuseS: 30, maxStalenessS: { authority: 30, ca: 300 } }
`;

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const portOf = (address: string): string => address.slice(address.lastIndexOf(':') + 1);

export function breachMesh(dir: StateDir, beyond: Beyond): MeshPlan {
  return {
    trustDomain: TEST_DOMAIN,
    mode: 'full',
    policy: {
      'mesh.yaml': policyOf(beyond),
      'bank.pem': beyond.bankCa,
      'drill.cedar': '@id("drill-allows-edges")\npermit (principal, action, resource);\n',
    },
    authority: {
      accounts: Object.entries(USERS).map(([name, password]) => ({
        name,
        passwordFile: dir.write(`accounts/${name}`, password),
      })),
      clients: [
        {
          id: CLIENT.id,
          name: 'Drill',
          redirectUris: [CLIENT.redirectUri],
          scopes: [...SCOPES],
          owner: 'drill',
          reason: 'drill',
          deferrable: { maxS: 3_600, uses: 5 },
        },
      ],
      upstreamIssuers: [beyond.named, beyond.unnamed].map(({ issuer }, n) => ({
        issuer,
        audience: OTHER_AUDIENCE,
        clients: [
          {
            id: `portal-${n}`,
            upstreamId: OTHER_CLIENT,
            name: 'Portal',
            scopes: ['notes:read'],
            purpose: 'staff portal',
            until: new Date(Date.now() + 86_400_000).toISOString(),
            owner: 'drill',
            reason: 'drill',
          },
        ],
      })),
    },
    services: [
      service('front', here('services/leaky.ts'), ['middle']),
      service('middle', here('services/leaky.ts'), ['back', 'vault']),
      {
        ...service('desk', here('services/leaky.ts'), ['back']),
        entry: {
          refusals: 'code',
          tls: { certificateFile: beyond.desk.certificateFile, keyFile: beyond.desk.keyFile },
        },
        traceId: true,
        exits: ['bank', 'machine', 'others'],
      },
      service('back', here('../../mesh/services/back.ts'), []),
      service('vault', here('../../mesh/services/back.ts'), []),
    ],
  };
}

/** Only processes of the user who runs the drill may use the local ports. */
function service(name: string, script: string, calls: readonly string[]): ServicePlan {
  const uid = process.getuid?.();
  return {
    name,
    id: workload(name),
    protocol: 'http1',
    calls,
    ...(name === 'front' ? { entry: { refusals: 'code' } as const } : {}),
    ...(uid === undefined ? {} : { allowedUid: uid }),
    program: ({ listen, peers }) => ({
      command: process.execPath,
      args: [script],
      environment: {
        PORT: portOf(listen),
        NEXT_URL: peers[calls[0] ?? ''] ?? '',
        ...(name === 'middle' ? { STOPS: 'yes' } : {}),
      },
    }),
  };
}
