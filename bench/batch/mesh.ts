/** Three hops of real processes: users come in at `first`; no root is ever used twice, so that every chain is new. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { obtainTokens } from '../../authority/headless/index.ts';
import type { MeshPlan, ServicePlan } from '../../cli/mesh/plan.ts';
import { startMesh } from '../../cli/mesh/start-mesh.ts';
import { type StateDir, takeStateDir } from '../../cli/mesh/state-dir.ts';
import { parseSpiffeId, parseTrustDomain } from '../../identity/index.ts';

export const SERVICES = ['first', 'second', 'third', 'fourth'] as const;
const TRUST_DOMAIN = parseTrustDomain('bench.example');
const SCOPE = 'notes:read';
const CLIENT = { id: 'bench-app', redirectUri: 'http://127.0.0.1/callback' } as const;
const ABOUT = 'owner: bench, reason: measured';

export interface SidecarProcess {
  readonly name: string;
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
}

export interface BatchMesh {
  /** Where users come in, a URL, and the token of one. */
  readonly entry: string;
  readonly accessToken: string;
  readonly sidecars: readonly SidecarProcess[];
  stop(): Promise<void>;
}

/** `hookFor` gives what `node --import` loads into the sidecar of that service. */
export async function startBatchMesh(hookFor: (service: string, folder: string) => string): Promise<BatchMesh> {
  const folder = mkdtempSync(join(tmpdir(), 'behalf-bench-'));
  try {
    const password = randomBytes(12).toString('base64url');
    const dir = takeStateDir(join(folder, 'mesh'), { fresh: false });
    const mesh = await startMesh({
      plan: planOf(dir, password),
      dir,
      log: pino({ level: 'silent' }),
      nodeArgs: (child) => {
        const service = SERVICES.find((name) => child === sidecarOf(name));
        return service === undefined ? [] : ['--import', hookFor(service, folder)];
      },
    });
    const stop = async (): Promise<void> => {
      await mesh.stop();
      rmSync(folder, { recursive: true, force: true });
    };
    const { accessToken } = await obtainTokens({
      issuer: mesh.file.authority!.issuer,
      clientId: CLIENT.id,
      redirectUri: CLIENT.redirectUri,
      account: 'user',
      password,
      scopes: [SCOPE],
      purpose: 'bench',
      durationS: 3_600,
    });
    const sidecars = SERVICES.map((name): SidecarProcess => {
      const child = mesh.children.get(sidecarOf(name))!;
      return { name, pid: child.pid, kill: child.kill };
    });
    const entry = mesh.file.services.find(({ name }) => name === SERVICES[0])!.entry!;
    return { entry, accessToken, sidecars, stop };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

function sidecarOf(service: string): string {
  return `${service} sidecar`;
}

function planOf(dir: StateDir, password: string): MeshPlan {
  const route = `{ method: "*", path: "/{+path}", scopes: ["${SCOPE}"] }`;
  return {
    trustDomain: TRUST_DOMAIN,
    mode: 'full',
    policy: {
      'mesh.yaml': `
trustDomain: ${TRUST_DOMAIN}
scopes:
  ${SCOPE}: { title: Read notes, description: Read your notes }
services:
${SERVICES.map((name) => `  ${name}: { ${ABOUT}, routes: [${route}] }`).join('\n')}
workloads:
  ${SERVICES[0]}: { ${ABOUT}, entry: { ceiling: ["${SCOPE}"] } }
edges:
${SERVICES.slice(1)
  .map((name, n) => `  - { from: ${SERVICES[n]}, to: ${name} }`)
  .join('\n')}
settings: { rootReuseS: 0 }
`,
      'bench.cedar': '@id("bench-allows-edges")\npermit (principal, action, resource);\n',
    },
    authority: {
      accounts: [{ name: 'user', passwordFile: dir.write('accounts/user', password) }],
      clients: [
        {
          id: CLIENT.id,
          name: 'Bench',
          redirectUris: [CLIENT.redirectUri],
          scopes: [SCOPE],
          owner: 'bench',
          reason: 'measured',
        },
      ],
    },
    services: SERVICES.map((name, n): ServicePlan => {
      const next = SERVICES[n + 1];
      return {
        name,
        id: parseSpiffeId(`spiffe://${TRUST_DOMAIN}/${name}`),
        protocol: 'http1',
        calls: next === undefined ? [] : [next],
        ...(n === 0 ? { entry: { refusals: 'code' } as const } : {}),
        program: ({ listen, peers }) => ({
          command: process.execPath,
          args: [fileURLToPath(new URL('service.ts', import.meta.url))],
          environment: {
            PORT: listen.slice(listen.lastIndexOf(':') + 1),
            ...(next === undefined ? {} : { NEXT_URL: peers[next] ?? '' }),
          },
        }),
      };
    }),
  };
}
