/** A mesh in which `front` pays `back`: users come in at `front`, whose requests to pay ask for a payment; `probe` calls from beside. */
import { fileURLToPath } from 'node:url';
import type { MeshPlan, ServicePlan } from '../../cli/mesh/plan.ts';
import type { StateDir } from '../../cli/mesh/state-dir.ts';
import { TEST_DOMAIN, twoServices } from './two-services.ts';

const POLICY = `
trustDomain: ${TEST_DOMAIN}
scopes:
  notes:read: { title: Read notes, description: Read your notes }
  notes:write: { title: Write notes, description: Change your notes }
services:
  front:
    owner: team-test
    reason: users enter
    routes:
      - { method: GET, path: "/pay/{id}", scopes: [], passes: ["notes:read"], details: [payment], fresh: true }
      - { method: GET, path: "/look/{id}", scopes: [], passes: ["notes:read"] }
  back:
    owner: team-test
    reason: is paid
    routes:
      - { method: GET, path: "/pay/{id}", scopes: ["notes:read"], details: [payment], bind: pod }
      - { method: GET, path: "/look/{id}", scopes: ["notes:read"] }
      - { method: GET, path: "/transfer/{id}", scopes: ["notes:read"], details: [payment] }
workloads:
  front: { owner: team-test, reason: entry, entry: { ceiling: ["notes:read", "notes:write"] } }
  probe: { owner: team-test, reason: calls from beside, entry: { ceiling: ["notes:read", "notes:write"] } }
edges:
  - { from: front, to: back }
  - { from: probe, to: back }
`;

const CEDAR = `@id("test-allows-edges")
permit (principal, action, resource);

@id("no-transfer-without-payment")
forbid (principal, action == Behalf::Action::"call", resource)
when { resource.template == "/transfer/{id}" && !context.details.contains("payment") };
`;

export function payingServices(dir: StateDir, accounts: Readonly<Record<string, string>>): MeshPlan {
  const plan = twoServices(dir, { accounts });
  const [front, back] = plan.services as [ServicePlan, ServicePlan];
  const running = (service: ServicePlan, file: string): ServicePlan => ({
    ...service,
    program: ({ listen, localApi, peers }) => ({
      command: process.execPath,
      args: [fileURLToPath(new URL(`services/${file}.ts`, import.meta.url))],
      environment: {
        PORT: listen.slice(listen.lastIndexOf(':') + 1),
        BACK_URL: peers['back'] ?? '',
        DELEGATION_API: localApi,
      },
    }),
  });
  return {
    ...plan,
    policy: { 'mesh.yaml': POLICY, 'test.cedar': CEDAR },
    services: [running(front, 'payer'), running(back, 'till')],
  };
}
