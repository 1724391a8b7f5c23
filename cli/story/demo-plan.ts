/** The demo shop as a mesh: its services each under a user of its own where that is possible, two users, and one application. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { DEMO_POLICY_FOLDER, DEMO_SCOPES, DEMO_SERVICES, DEMO_TRUST_DOMAIN } from '../../demo/index.ts';
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../identity/index.ts';
import type { MeshPlan } from '../mesh/plan.ts';
import { readPolicyFolder } from '../mesh/policy-folder.ts';
import type { StateDir } from '../mesh/state-dir.ts';

/** Users that the services run as: numbers that no distribution gives away, one a service. */
const FIRST_UID = 64_101;
/** A consent in the demo lasts this long. */
export const CONSENT_S = 3600;
export const PURPOSE = 'buy a lamp and pay for it';
const REDIRECT_URI = 'http://127.0.0.1/callback';
const CLIENT = { id: 'shop-app', name: 'The shop’s app' } as const;

/** A workload of this mesh that no policy lets call anything: what an intruder with a foot in the door would be. */
export const MALLORY: SpiffeId = parseSpiffeId(`spiffe://${DEMO_TRUST_DOMAIN}/mallory`);

const ACCOUNTS = ['demo', 'eve'] as const;
export type DemoAccount = (typeof ACCOUNTS)[number];

export interface DemoUser {
  readonly account: string;
  readonly password: string;
}

export interface Demo {
  readonly plan: MeshPlan;
  readonly client: { readonly id: string; readonly redirectUri: string };
  readonly users: Readonly<Record<DemoAccount, DemoUser>>;
  /** Whether each service runs under a user of its own, so that local ports can be guarded; else why not. */
  readonly guard: { readonly on: true } | { readonly on: false; readonly why: string };
}

/** Makes the plan; passwords are new each time and stand in files of the mesh's directory alone. */
export function makeDemo(dir: StateDir): Demo {
  const users = Object.fromEntries(ACCOUNTS.map((account) => [account, newUser(account)])) as Record<
    DemoAccount,
    DemoUser
  >;
  const guard = guardPossible();
  const accounts = Object.values(users).map(({ account, password }) => ({
    name: account,
    passwordFile: dir.write(`accounts/${account}`, password),
  }));
  return {
    users,
    guard,
    client: { id: CLIENT.id, redirectUri: REDIRECT_URI },
    plan: {
      trustDomain: parseTrustDomain(DEMO_TRUST_DOMAIN),
      mode: 'full',
      policy: readPolicyFolder(DEMO_POLICY_FOLDER),
      authority: {
        accessTokenTtlS: CONSENT_S,
        accounts,
        clients: [
          {
            ...CLIENT,
            redirectUris: [REDIRECT_URI],
            scopes: [...DEMO_SCOPES, 'payments:refund'],
            owner: 'team-web',
            reason: 'the demo',
          },
        ],
      },
      services: DEMO_SERVICES.map(({ name, id, protocol, calls, entry, program }, index) => {
        const uid = guard.on ? { uid: FIRST_UID + index } : {};
        return {
          name,
          id: parseSpiffeId(id),
          protocol,
          calls,
          ...(entry ? { entry: { refusals: 'hidden' as const } } : {}),
          ...(guard.on ? { allowedUid: FIRST_UID + index } : {}),
          program: ({ listen, localApi, peers }) => ({
            ...program({ listen, localApi: localApi.replace('http://', ''), peers }),
            ...uid,
          }),
        };
      }),
    },
  };
}

function newUser(account: string): DemoUser {
  return { account, password: randomBytes(9).toString('base64url') };
}

/** Tries it: another user must be able to run our interpreter and read the services' files. */
function guardPossible(): Demo['guard'] {
  if (process.getuid?.() !== 0) return { on: false, why: 'it needs root, to run each service as a user of its own' };
  const files = [
    '../../demo/index.ts',
    '../../propagate/register.ts',
    '../../proto/behalf/options/v1/options.proto',
    '../../node_modules/@grpc/grpc-js/package.json',
  ];
  const script = 'for (const file of process.argv.slice(1)) require("node:fs").accessSync(file)';
  const tried = spawnSync(
    process.execPath,
    ['-e', script, ...files.map((file) => fileURLToPath(new URL(file, import.meta.url)))],
    { uid: FIRST_UID, gid: FIRST_UID, env: {}, timeout: 10_000 },
  );
  return tried.status === 0 ? { on: true } : { on: false, why: 'other users of this machine cannot read this folder' };
}
