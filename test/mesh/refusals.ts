/** Refusals as `back`'s sidecar put them on record, read through the log's public API. */
import { expect } from 'vitest';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import type { ConnectionRefused, Hop } from '../../proto/behalf/audit/v1/audit.ts';
import type { CurlAnswer } from './curl.ts';
import type { Presented } from './probe.ts';
import { eventually, type RunningMesh } from './running-mesh.ts';
import { workload } from './two-services.ts';

export function expectCode({ status, code, headers }: CurlAnswer, expectedStatus: number, expected: string): void {
  const error = headers.get('delegation-error');
  expect({ status, code, error }).toEqual({ status: expectedStatus, code: expected, error: expected });
}

/** Answered with the code, and on record: who was refused, by whom, from where and with which certificate. */
export async function expectRefused(
  running: RunningMesh,
  caller: OwnIdentity,
  { answer, hopId }: Presented,
  status: number,
  code: string,
): Promise<void> {
  expectCode(answer, status, code);
  expectRefusedHop(await hopOnRecord(running, hopId), caller, code);
}

export function expectRefusedHop(hop: Hop, caller: OwnIdentity, code: string): void {
  expect(hop).toMatchObject({
    side: 'SIDE_CALLEE',
    outcome: 'OUTCOME_REFUSED',
    code,
    refusedBy: workload('back'),
    caller: caller.spiffeId,
    callee: workload('back'),
    peerAddress: '127.0.0.1',
  });
  expect(serialNumber(hop.peerSerial)).toBe(BigInt(`0x${caller.current().serialHex}`));
}

export function hopOnRecord(running: RunningMesh, hopId: Buffer): Promise<Hop> {
  return eventually(async () => (await hopsOnRecord(running, hopId))[0] ?? null);
}

export async function hopsOnRecord({ hops }: RunningMesh, hopId: Buffer): Promise<Hop[]> {
  return (await hops()).flatMap(({ event }) =>
    event.body === 'hop' && event.hop.hopId.equals(hopId) ? [event.hop] : [],
  );
}

/** The one connection at the mesh port that was refused with that code. */
export async function refusedConnection(running: RunningMesh, code: string): Promise<ConnectionRefused> {
  const found = await eventually(async () => {
    const events = await refusedConnections(running, code);
    return events.length > 0 ? events : null;
  });
  expect(found).toHaveLength(1);
  expect(found[0]).toMatchObject({ peerAddress: '127.0.0.1', suppressed: 0 });
  return found[0]!;
}

/** Connections at the mesh port that were refused with that code, in log order. */
export async function refusedConnections({ events }: RunningMesh, code: string): Promise<ConnectionRefused[]> {
  return (await events('connection_refused')).flatMap(({ logged, event }) =>
    logged.reporter === workload('back') &&
    event.body === 'connectionRefused' &&
    event.connectionRefused.listener === 'mesh' &&
    event.connectionRefused.code === code
      ? [event.connectionRefused]
      : [],
  );
}

export function serialNumber(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}
