/** The mesh of the drill: each app that passes context on in its own way takes users in and calls the one service behind all. */
import { fileURLToPath } from 'node:url';
import type { MeshPlan, ServicePlan } from '../../../cli/mesh/plan.ts';
import type { StateDir } from '../../../cli/mesh/state-dir.ts';
import { CLIENT, SCOPES, TEST_DOMAIN, workload } from '../../mesh/two-services.ts';
import type { PeerApp, PeerName } from '../../peers/peers.ts';

const BACK = fileURLToPath(new URL('../../mesh/services/back.ts', import.meta.url));
const portOf = (address: string): string => address.slice(address.lastIndexOf(':') + 1);

/** `settings` goes into the policy as it is. */
export function peersMesh(
  dir: StateDir,
  peers: ReadonlyMap<PeerName, PeerApp>,
  accounts: Readonly<Record<string, string>>,
  settings = '',
): MeshPlan {
  const names = [...peers.keys()];
  return {
    trustDomain: TEST_DOMAIN,
    mode: 'full',
    policy: {
      'mesh.yaml': `
trustDomain: ${TEST_DOMAIN}
scopes:
  notes:read: { title: Read notes, description: Read your notes }
  notes:write: { title: Write notes, description: Change your notes }
services:
${[...names, 'back'].map((name) => `  ${name}: { owner: team-test, reason: drill, routes: [{ method: "*", path: "/{+path}", scopes: ["notes:read"] }] }`).join('\n')}
workloads:
${names.map((name) => `  ${name}: { owner: team-test, reason: entry, entry: { ceiling: ["notes:read"] } }`).join('\n')}
edges:
${names.map((name) => `  - { from: ${name}, to: back }`).join('\n')}
settings: { ${settings} }
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
      ...[...peers].map(([name, app]) => servicePlan(name, app)),
      {
        name: 'back',
        id: workload('back'),
        protocol: 'http1',
        calls: [],
        program: ({ listen }) => ({
          command: process.execPath,
          args: [BACK],
          environment: { PORT: portOf(listen) },
        }),
      },
    ],
  };
}

function servicePlan(name: PeerName, { command, args, environment }: PeerApp): ServicePlan {
  return {
    name,
    id: workload(name),
    protocol: 'http1',
    calls: ['back'],
    entry: { refusals: 'code' },
    // The one way that has to be switched on.
    ...(name === 'node-trace' ? { traceId: true } : {}),
    program: ({ listen, peers }) => ({
      command,
      args,
      environment: { ...environment, PORT: portOf(listen), BACK_URL: peers['back'] ?? '' },
    }),
  };
}
