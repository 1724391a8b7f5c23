/** What the record must show, whatever was killed meanwhile. */
import { expect } from 'vitest';
import type { LedgerLine } from './client.ts';
import { eventually, type RecordedEvent, type RunningMesh } from './running-mesh.ts';

/** The events that are due of one request through `front` and `back`: who reports which side. */
const DUE = ['SIDE_ENTRY front', 'SIDE_CALLER front', 'SIDE_CALLEE back'];

/** Every answered request of the ledger has each side of its hops on record, once. */
export async function expectEveryHopOnRecordOnce(running: RunningMesh, ledger: readonly LedgerLine[]): Promise<void> {
  const answered = ledger.filter(({ status }) => status === 200);
  expect(answered.length).toBeGreaterThan(0);
  expect(new Set(answered.map(({ request }) => request)).size).toBe(answered.length);
  const byRequest = await eventually(async () => {
    const sides = sidesByRequest(await running.hops());
    return answered.every(({ request }) => (sides.get(request)?.length ?? 0) >= DUE.length) ? sides : null;
  });
  for (const { request } of answered) expect(byRequest.get(request)?.toSorted()).toEqual(DUE.toSorted());
}

/** Sequence numbers of every reporter and epoch begin at 1 and have no gap. */
export async function expectNoSequenceGap(running: RunningMesh): Promise<void> {
  const { reporters } = await running.query.summary({});
  expect(reporters.length).toBeGreaterThan(0);
  for (const { reporter, firstSeq, lastSeq, events } of reporters) {
    expect({ reporter, firstSeq, events }).toEqual({ reporter, firstSeq: 1, events: lastSeq });
  }
}

function sidesByRequest(events: readonly RecordedEvent[]): Map<string, string[]> {
  const sides = new Map<string, string[]>();
  for (const { logged, event } of events) {
    if (event.body !== 'hop') continue;
    const request = event.hop.requestId.toString('base64url');
    const side = `${event.hop.side} ${logged.reporter.slice(logged.reporter.lastIndexOf('/') + 1)}`;
    const known = sides.get(request);
    if (known === undefined) sides.set(request, [side]);
    else known.push(side);
  }
  return sides;
}
