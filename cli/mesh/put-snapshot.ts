/** Builds a policy folder to a snapshot, numbers, signs and publishes it as the operator. */
import { existsSync, readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { SpiffeId, StatementKey } from '../../identity/index.ts';
import { connectService } from '../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import { buildSnapshot, signSnapshot } from '../../policy/index.ts';
import type { PolicySnapshot } from '../../policy/snapshot/snapshot.ts';
import { state } from '../../proto/behalf/state/v1/state.ts';
import type { PolicyFiles } from './plan.ts';
import { writeStateFile } from './state-dir.ts';

const NUMBER_FILE = 'operator/snapshot-number';

export interface PutSnapshot {
  /** The mesh's directory, which remembers the last number. */
  readonly directory: string;
  readonly operator: OwnIdentity;
  readonly collector: { readonly id: SpiffeId; readonly address: string };
  readonly key: StatementKey;
  readonly files: PolicyFiles;
  /** mTLS ports, `host:port`, by service name; for services whose policy names none. */
  readonly endpoints: ReadonlyMap<string, readonly string[]>;
  readonly log: Logger;
}

/**
 * Puts the policy live under the next number.
 * @throws {BehalfError} `snapshot_invalid`; `statement_untrusted` where the collector does not know the key
 */
export async function putSnapshot({
  directory,
  operator,
  collector,
  key,
  files,
  endpoints,
  log,
}: PutSnapshot): Promise<PolicySnapshot> {
  const number = lastNumber(directory) + 1;
  const snapshot = withEndpoints(buildSnapshot({ files, number, issuedAtS: Date.now() / 1000 }), endpoints);
  // A stop after this leaves a number unused, which nobody minds: numbers must rise, not be without gap.
  writeStateFile(directory, NUMBER_FILE, String(number));
  const client = connectService(state, { address: collector.address, identity: operator, expect: collector.id, log });
  try {
    await client.putSnapshot({ snapshot: signSnapshot(snapshot, key) });
    return snapshot;
  } finally {
    client.close();
  }
}

function withEndpoints(snapshot: PolicySnapshot, endpoints: ReadonlyMap<string, readonly string[]>): PolicySnapshot {
  const services = Object.entries(snapshot.services).map(([id, service]) => {
    return [
      id,
      service.endpoints.length > 0 ? service : { ...service, endpoints: endpoints.get(service.name) ?? [] },
    ] as const;
  });
  return { ...snapshot, services: Object.fromEntries(services) };
}

function lastNumber(directory: string): number {
  const file = `${directory}/${NUMBER_FILE}`;
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
}
