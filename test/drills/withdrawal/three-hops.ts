/** The drill's mesh: users -> `front` -> `middle` -> `back` (HTTP) or `rpc` (gRPC), each behind a sidecar of its own. */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { MeshPlan, ServicePlan } from '../../../cli/mesh/plan.ts';
import type { StateDir } from '../../../cli/mesh/state-dir.ts';
import { CLIENT, TEST_DOMAIN, workload } from '../../mesh/two-services.ts';

const USERS = 10;
export const SCOPE = 'notes:read';

export interface DrillUser {
  readonly account: string;
  readonly password: string;
}

export function newUsers(): DrillUser[] {
  return Array.from({ length: USERS }, (_, n) => ({
    account: `user-${n}`,
    password: randomBytes(12).toString('base64url'),
  }));
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const portOf = (address: string): string => address.slice(address.lastIndexOf(':') + 1);

export interface ThreeHopsOptions {
  /** Oldest live state of the authority that still counts; 30 s. */
  readonly maxStalenessS?: number;
  /** How the sidecar of `front` reaches the collector. */
  readonly frontReaches?: (collector: string) => string;
}

export function threeHops(
  dir: StateDir,
  users: readonly DrillUser[],
  { maxStalenessS = 30, frontReaches }: ThreeHopsOptions = {},
): MeshPlan {
  return {
    trustDomain: TEST_DOMAIN,
    mode: 'full',
    policy: {
      'mesh.yaml': `
trustDomain: ${TEST_DOMAIN}
scopes:
  ${SCOPE}: { title: Read notes, description: Read your notes }
services:
  front: { owner: drill, reason: users enter, routes: [{ method: "*", path: "/{+path}", scopes: ["${SCOPE}"] }] }
  middle: { owner: drill, reason: in between, routes: [{ method: "*", path: "/{+path}", scopes: ["${SCOPE}"] }] }
  back: { owner: drill, reason: keeps notes, routes: [{ method: "*", path: "/{+path}", scopes: ["${SCOPE}"] }] }
  rpc: { owner: drill, reason: streams, routes: [{ method: POST, path: "/drill.Rpc/{method}", scopes: ["${SCOPE}"] }] }
workloads:
  front: { owner: drill, reason: entry, entry: { ceiling: ["${SCOPE}"] } }
edges:
  - { from: front, to: middle }
  - { from: middle, to: back }
  - { from: middle, to: rpc }
settings: { rootReuseS: 30, maxStalenessS: { authority: ${maxStalenessS}, ca: 300 } }
`,
      'drill.cedar': '@id("drill-allows-edges")\npermit (principal, action, resource);\n',
    },
    authority: {
      accounts: users.map(({ account, password }) => ({
        name: account,
        passwordFile: dir.write(`accounts/${account}`, password),
      })),
      clients: [
        {
          id: CLIENT.id,
          name: 'Drill',
          redirectUris: [CLIENT.redirectUri],
          scopes: [SCOPE],
          owner: 'drill',
          reason: 'drill',
        },
      ],
    },
    services: [
      {
        ...service('front', here('services/middle.ts'), 'http1', ['middle'], ({ middle }) => ({ BACK_URL: middle })),
        ...(frontReaches === undefined ? {} : { reachCollector: frontReaches }),
      },
      service('middle', here('services/middle.ts'), 'http1', ['back', 'rpc'], ({ back, rpc }) => ({
        BACK_URL: back,
        RPC_ADDRESS: rpc.replace('http://', ''),
      })),
      service('back', here('../../mesh/services/back.ts'), 'http1', [], () => ({})),
      service('rpc', here('services/rpc.ts'), 'h2c', [], () => ({})),
    ],
  };
}

function service<Call extends string>(
  name: string,
  script: string,
  protocol: ServicePlan['protocol'],
  calls: readonly Call[],
  environmentOf: (peers: Readonly<Record<Call, string>>) => Readonly<Record<string, string>>,
): ServicePlan {
  return {
    name,
    id: workload(name),
    protocol,
    calls,
    ...(name === 'front' ? { entry: { refusals: 'code' } as const } : {}),
    program: ({ listen, localApi, peers }) => ({
      command: process.execPath,
      args: [script],
      environment: {
        PORT: portOf(listen),
        DELEGATION_API: localApi,
        ...environmentOf(peers as Readonly<Record<Call, string>>),
      },
    }),
  };
}
