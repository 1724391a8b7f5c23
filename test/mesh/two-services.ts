/** The mesh that most whole-system tests run in: `front`, where users come in, calls `back`; `probe` only calls. */
import { fileURLToPath } from 'node:url';
import type { MeshPlan } from '../../cli/mesh/plan.ts';
import type { StateDir } from '../../cli/mesh/state-dir.ts';
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../identity/index.ts';

export const TEST_DOMAIN = parseTrustDomain('test.example');
export const SCOPES = ['notes:read', 'notes:write'] as const;
export const CLIENT = { id: 'test-app', redirectUri: 'http://127.0.0.1/callback' } as const;

export function workload(name: string): SpiffeId {
  return parseSpiffeId(`spiffe://${TEST_DOMAIN}/${name}`);
}

export interface TwoServices {
  /** Accounts by name, each with its password. */
  readonly accounts: Readonly<Record<string, string>>;
  readonly certificateTtlS?: number;
  /** Oldest live state of the authority that still counts; 30 s. */
  readonly maxStalenessS?: number;
}

const service = (name: string): string => fileURLToPath(new URL(`services/${name}.ts`, import.meta.url));
const portOf = (address: string): string => address.slice(address.lastIndexOf(':') + 1);

export function twoServices(dir: StateDir, { accounts, certificateTtlS, maxStalenessS = 30 }: TwoServices): MeshPlan {
  return {
    trustDomain: TEST_DOMAIN,
    mode: 'full',
    ...(certificateTtlS === undefined ? {} : { certificateTtlS }),
    policy: {
      'mesh.yaml': `
trustDomain: ${TEST_DOMAIN}
scopes:
  notes:admin: { title: Administer, description: Administer all notes }
  notes:read: { title: Read notes, description: Read your notes }
  notes:write: { title: Write notes, description: Change your notes }
services:
  front:
    owner: team-test
    reason: takes users' requests
    routes: [{ method: "*", path: "/{+path}", scopes: ["notes:read"], passes: ["notes:write"] }]
  back:
    owner: team-test
    reason: keeps notes
    routes:
      - { method: "*", path: "/admin/{+path}", scopes: ["notes:admin"], passes: [] }
      - { method: "*", path: "/{+path}", scopes: ["notes:read"], passes: [] }
workloads:
  front: { owner: team-test, reason: entry, entry: { ceiling: ["notes:read", "notes:write"] } }
  probe: { owner: team-test, reason: calls from beside, entry: { ceiling: ["notes:read", "notes:write"] } }
  mallory: { owner: team-test, reason: a workload that may call nobody }
edges:
  - { from: front, to: back }
  - { from: probe, to: back }
settings: { rootReuseS: 30, maxStalenessS: { authority: ${maxStalenessS}, ca: 300 } }
`,
      'test.cedar': '@id("test-allows-edges")\npermit (principal, action, resource);\n',
    },
    authority: {
      accounts: Object.entries(accounts).map(([name, password]) => ({
        name,
        passwordFile: dir.write(`accounts/${name}`, password),
      })),
      clients: [
        {
          id: CLIENT.id,
          name: 'Test app',
          redirectUris: [CLIENT.redirectUri],
          scopes: [...SCOPES],
          owner: 'team-test',
          reason: 'tests',
        },
      ],
    },
    services: [
      {
        name: 'front',
        id: workload('front'),
        protocol: 'http1',
        calls: ['back'],
        entry: { refusals: 'code' },
        program: ({ listen, localApi, peers }) => ({
          command: process.execPath,
          args: [service('front')],
          environment: { PORT: portOf(listen), BACK_URL: peers['back'] ?? '', DELEGATION_API: localApi },
        }),
      },
      {
        name: 'back',
        id: workload('back'),
        protocol: 'http1',
        calls: [],
        program: ({ listen }) => ({
          command: process.execPath,
          args: [service('back')],
          environment: { PORT: portOf(listen) },
        }),
      },
    ],
  };
}
