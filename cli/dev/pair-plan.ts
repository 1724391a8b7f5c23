/** The mesh of `behalf dev pair`: `near` calls `far`, which stands before any server of yours; `bench` is a third workload. */
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../identity/index.ts';
import type { MeshPlan, PolicyFiles } from '../mesh/plan.ts';

const PAIR_DOMAIN = parseTrustDomain('dev.behalf.local');
export const PAIR_IDS = {
  near: workload('near'),
  far: workload('far'),
  bench: workload('bench'),
} as const;
/** What `near` and `bench` may do at `far`, for a user and on their own. */
export const PAIR_SCOPES = ['upstream:read', 'upstream:write'] as const;

function workload(name: string): SpiffeId {
  return parseSpiffeId(`spiffe://${PAIR_DOMAIN}/dev/${name}`);
}

const RESPONSIBLE = 'owner: dev, reason: behalf dev pair';
const CALLER = `entry: { ceiling: [${PAIR_SCOPES.join(', ')}] }, own: [{ to: far, scopes: [${PAIR_SCOPES.join(', ')}] }]`;
const ANYTHING = `routes: [{ method: "*", path: "/{+path}", scopes: [], passes: [${PAIR_SCOPES.join(', ')}] }]`;

/** Whoever may call at all may call everything: what stands behind is yours, and this is a workbench. */
const PAIR_POLICY: PolicyFiles = {
  'mesh.yaml': `
trustDomain: ${PAIR_DOMAIN}
scopes:
  upstream:read: { title: Read, description: Read what the server behind the pair has }
  upstream:write: { title: Write, description: Change what the server behind the pair has }
services:
  near: { id: "${PAIR_IDS.near}", ${RESPONSIBLE}, ${ANYTHING} }
  far: { id: "${PAIR_IDS.far}", ${RESPONSIBLE}, ${ANYTHING} }
workloads:
  near: { id: "${PAIR_IDS.near}", ${RESPONSIBLE}, ${CALLER} }
  bench: { id: "${PAIR_IDS.bench}", ${RESPONSIBLE}, ${CALLER} }
edges:
  - { from: near, to: far }
  - { from: bench, to: far }
`,
  'pair.cedar': '@id("dev-pair")\npermit (principal, action, resource);\n',
};

export interface PairPlan {
  /** `host:port` of the server. */
  readonly upstream: string;
  readonly protocol: 'http1' | 'h2c';
  readonly mode: 'full' | 'mtls';
  readonly authority: object;
  readonly certificateTtlS?: number;
}

export function pairPlan({ upstream, protocol, mode, authority, certificateTtlS }: PairPlan): MeshPlan {
  return {
    trustDomain: PAIR_DOMAIN,
    mode,
    services: [
      // Without an app of its own: what comes in from a user goes on to `far`.
      {
        name: 'near',
        id: PAIR_IDS.near,
        protocol: 'http1',
        calls: ['far'],
        ...(mode === 'full' ? { entry: { forward: 'far', refusals: 'code' } } : {}),
      },
      { name: 'far', id: PAIR_IDS.far, address: upstream, protocol, calls: [] },
    ],
    policy: PAIR_POLICY,
    authority,
    ...(certificateTtlS === undefined ? {} : { certificateTtlS }),
  };
}
