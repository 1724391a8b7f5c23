/**
 * A mesh whose policy sets limits: users come in at `front`, `desk` and `middle`; the first two call `middle`, which calls `back`.
 * Over the edge from `front` the chain may go no deeper, over that from `desk` it may go on to `front` alone; `back` demands
 * bound links on some routes.
 */
import { fileURLToPath } from 'node:url';
import type { MeshPlan, ServicePlan } from '../../cli/mesh/plan.ts';
import type { StateDir } from '../../cli/mesh/state-dir.ts';
import { TEST_DOMAIN, twoServices, workload } from './two-services.ts';

const POLICY = `
trustDomain: ${TEST_DOMAIN}
scopes:
  notes:read: { title: Read notes, description: Read your notes }
  notes:write: { title: Write notes, description: Change your notes }
services:
  front: { owner: team-test, reason: users enter, routes: [{ method: "*", path: "/{+path}", scopes: [], passes: ["notes:read", "notes:write"] }] }
  desk: { owner: team-test, reason: users enter, routes: [{ method: "*", path: "/{+path}", scopes: [], passes: ["notes:read", "notes:write"] }] }
  middle: { owner: team-test, reason: hands on, routes: [{ method: "*", path: "/{+path}", scopes: [], passes: ["notes:read", "notes:write"] }] }
  back:
    owner: team-test
    reason: keeps notes
    routes:
      - { method: "*", path: "/{+path}", scopes: [] }
      - { method: GET, path: "/bound/{id}", scopes: [], bind: route }
      - { method: GET, path: "/paid/{id}", scopes: [], bind: pod }
workloads:
  front: { owner: team-test, reason: entry, entry: { ceiling: ["notes:read", "notes:write"] } }
  desk: { owner: team-test, reason: entry, entry: { ceiling: ["notes:read", "notes:write"] } }
  middle: { owner: team-test, reason: entry, entry: { ceiling: ["notes:read", "notes:write"] } }
  probe: { owner: team-test, reason: calls from beside, entry: { ceiling: ["notes:read", "notes:write"] } }
edges:
  - { from: front, to: middle, maxDepth: 1 }
  - { from: desk, to: middle, next: [front] }
  - { from: middle, to: back }
  - { from: probe, to: back }
`;

export function limitedServices(dir: StateDir, accounts: Readonly<Record<string, string>>): MeshPlan {
  const plan = twoServices(dir, { accounts });
  const [front, back] = plan.services as [ServicePlan, ServicePlan];
  const entry = (name: string, to: string): ServicePlan => ({
    ...front,
    name,
    id: workload(name),
    calls: [to],
    program: ({ listen, localApi, peers }) => ({
      command: process.execPath,
      args: [fileURLToPath(new URL('services/front.ts', import.meta.url))],
      environment: {
        PORT: listen.slice(listen.lastIndexOf(':') + 1),
        BACK_URL: peers[to] ?? '',
        DELEGATION_API: localApi,
      },
    }),
  });
  return {
    ...plan,
    policy: { ...plan.policy, 'mesh.yaml': POLICY },
    services: [entry('front', 'middle'), entry('desk', 'middle'), entry('middle', 'back'), back],
  };
}
