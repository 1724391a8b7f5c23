/** Starts a mesh of real processes in a folder of its own and gives tests what they look at it with. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { decodeEvent } from '../../audit/event/index.ts';
import { type ObtainedTokens, obtainTokens } from '../../authority/headless/index.ts';
import type { MeshPlan } from '../../cli/mesh/plan.ts';
import { type Mesh, startMesh } from '../../cli/mesh/start-mesh.ts';
import { type StateDir, takeStateDir } from '../../cli/mesh/state-dir.ts';
import { parseSpiffeId } from '../../identity/index.ts';
import { connectService, type ServiceClient } from '../../identity/mtls/index.ts';
import { type AuditQuery, auditQuery, type Event, type LoggedEvent } from '../../proto/behalf/audit/v1/audit.ts';
import { type Consents, consents } from '../../proto/behalf/authority/v1/authority.ts';
import { CLIENT, SCOPES } from './two-services.ts';

export interface RecordedEvent {
  readonly logged: LoggedEvent;
  readonly event: Event;
}

export interface RunningMesh {
  readonly mesh: Mesh;
  readonly dir: StateDir;
  readonly query: ServiceClient<AuditQuery>;
  /** The authority's, as the operator asks it. */
  readonly consents: ServiceClient<Consents>;
  /** A service of the plan, as `mesh.json` shows it. */
  service(name: string): Mesh['file']['services'][number];
  signIn(account: string, password: string, details?: readonly object[]): Promise<ObtainedTokens>;
  /** Every hop and its end on record, in log order. */
  hops(): Promise<RecordedEvent[]>;
  events(kind: string): Promise<RecordedEvent[]>;
  stop(): Promise<void>;
}

export async function runMesh(
  makePlan: (dir: StateDir) => MeshPlan,
  options: { readonly nodeArgs?: (child: string) => readonly string[] } = {},
): Promise<RunningMesh> {
  const folder = mkdtempSync(join(tmpdir(), 'behalf-test-'));
  const dir = takeStateDir(join(folder, 'mesh'), { fresh: false });
  const log = pino({ level: 'silent' });
  let mesh: Mesh;
  try {
    mesh = await startMesh({ plan: makePlan(dir), dir, log, ...options });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  const { collector, authority, services } = mesh.file;
  if (authority === null) throw new Error('a mesh without authority');
  const asOperator = ({ address, id }: { readonly address: string; readonly id: string }) => ({
    address,
    identity: mesh.operator,
    expect: parseSpiffeId(id),
    log,
  });
  const query = connectService(auditQuery, asOperator(collector));
  const operator = connectService(consents, asOperator(authority));

  return {
    mesh,
    dir,
    query,
    consents: operator,
    service(name) {
      const found = services.find((one) => one.name === name);
      if (found === undefined) throw new Error(`no service ${name}`);
      return found;
    },
    signIn: (account, password, details = []) =>
      obtainTokens({
        issuer: authority.issuer,
        clientId: CLIENT.id,
        redirectUri: CLIENT.redirectUri,
        account,
        password,
        scopes: [...SCOPES],
        purpose: 'test',
        durationS: 3600,
        ...(details.length === 0 ? {} : { details: JSON.stringify(details) }),
      }),
    hops: () => pages((fromIndex) => query.listHops({ fromIndex, limit: 10_000 })),
    events: (kind) => pages((fromIndex) => query.listEvents({ kind, fromIndex, limit: 10_000 })),
    async stop() {
      query.close();
      operator.close();
      await mesh.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function pages(
  page: (fromIndex: number) => Promise<{ readonly events: readonly LoggedEvent[]; readonly more: boolean }>,
): Promise<RecordedEvent[]> {
  const all: RecordedEvent[] = [];
  for (let fromIndex = 0; ; ) {
    const { events, more } = await page(fromIndex);
    for (const logged of events) all.push({ logged, event: decodeEvent(logged.event) });
    const last = events.at(-1);
    if (!more || last === undefined) return all;
    fromIndex = last.index + 1;
  }
}

/** Asks until the answer is not null, for `withinMs` at most. */
export async function eventually<T>(ask: () => Promise<T | null>, withinMs = 20_000): Promise<T> {
  const until = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (performance.now() > until) throw new Error(`not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
