/**
 * The mesh that is attacked: users enter at `front`, which calls `middle`, which calls `back` and `vault`. `front` hands on only
 * reading, and only as far as `back`. The attacker has `middle`: its app, its sidecar, its keys. `mallory` is a workload that may call
 * nobody, `probe` one that may call `back` and is an entry.
 */
import { fileURLToPath } from 'node:url';
import type { MeshPlan, ServicePlan } from '../../../cli/mesh/plan.ts';
import type { StateDir } from '../../../cli/mesh/state-dir.ts';
import { CLIENT, SCOPES, TEST_DOMAIN, workload } from '../../mesh/two-services.ts';

export const USERS = { ada: 'correct horse', bob: 'battery staple', cyd: 'some other words' } as const;
export type User = keyof typeof USERS;

const POLICY = `
trustDomain: ${TEST_DOMAIN}
scopes:
  notes:admin: { title: Administer, description: Administer all notes }
  notes:read: { title: Read notes, description: Read your notes }
  notes:write: { title: Write notes, description: Change your notes }
services:
  front: { owner: drill, reason: users enter, routes: [{ method: "*", path: "/{+path}", scopes: ["notes:read"], passes: ["notes:write"] }] }
  middle: { owner: drill, reason: the attacker has it, routes: [{ method: "*", path: "/{+path}", scopes: ["notes:read"] }] }
  back:
    owner: drill
    reason: keeps notes
    routes:
      - { method: "*", path: "/{+path}", scopes: ["notes:read"] }
      - { method: "*", path: "/write/{+path}", scopes: ["notes:write"] }
      - { method: "*", path: "/admin/{+path}", scopes: ["notes:admin"] }
      - { method: GET, path: "/bound/{id}", scopes: ["notes:read"], bind: route }
      - { method: GET, path: "/paid/{id}", scopes: ["notes:read"], bind: pod }
  vault: { owner: drill, reason: keeps secrets, routes: [{ method: "*", path: "/{+path}", scopes: ["notes:read"] }] }
workloads:
  front: { owner: drill, reason: entry, entry: { ceiling: ["notes:read", "notes:write"] } }
  probe: { owner: drill, reason: calls from beside, entry: { ceiling: ["notes:read", "notes:write"] } }
  mallory: { owner: drill, reason: may call nobody }
edges:
  - { from: front, to: middle, narrowTo: ["notes:read"], next: [back], maxDepth: 3 }
  - { from: middle, to: back }
  - { from: middle, to: vault }
  - { from: probe, to: back }
settings: { rootReuseS: 30, maxStalenessS: { authority: 30, ca: 300 } }
`;

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const portOf = (address: string): string => address.slice(address.lastIndexOf(':') + 1);

export function breachMesh(dir: StateDir): MeshPlan {
  return {
    trustDomain: TEST_DOMAIN,
    mode: 'full',
    policy: {
      'mesh.yaml': POLICY,
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
        },
      ],
    },
    services: [
      service('front', here('services/leaky.ts'), ['middle']),
      service('middle', here('services/leaky.ts'), ['back', 'vault']),
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
