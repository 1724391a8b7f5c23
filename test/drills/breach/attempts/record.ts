/** A lying sidecar: `middle`'s, whose reports are its own to write. It cannot be refused, so it has to be found out. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeEvent } from '../../../../audit/event/index.ts';
import { sampleHop, samplePersonal } from '../../../../audit/testing/sample-events.ts';
import { connectService } from '../../../../identity/mtls/index.ts';
import { auditIntake, type Event, type FindingKind, type Hop } from '../../../../proto/behalf/audit/v1/audit.ts';
import { workload } from '../../../mesh/two-services.ts';
import { type Fields, linksOf, partOf } from '../attacker/forge.ts';
import type { Scene } from '../attacker/scene.ts';
import { type Attempt, REACHED } from '../attempt.ts';

const HAS = 'middle’s sidecar';
export const SOON_MS = 8_000;
/** The other side may be late for 30 s. */
const OVERDUE_MS = 45_000;
const ACKNOWLEDGED_MS = 10_000;

interface Lie {
  readonly hops: readonly Hop[];
  /** Its number in a spool of its own; 1 unless said otherwise. */
  readonly firstSeq?: number;
}

/** Reports as middle's sidecar would. */
async function report({ running, middle, log }: Scene, { hops, firstSeq = 1 }: Lie): Promise<void> {
  const { address, id } = running.mesh.file.collector;
  const intake = connectService(auditIntake, { address, expect: id, identity: middle, log });
  const epoch = randomBytes(16);
  try {
    const stream = intake.report({ deadlineMs: ACKNOWLEDGED_MS });
    const stored = new Promise<void>((resolve, reject) => {
      stream.on('data', () => resolve());
      stream.on('error', reject);
    });
    const timeUs = Date.now() * 1_000;
    const events = hops.map((hop, n): Event => ({ body: 'hop', hop, seq: firstSeq + n, epoch, timeUs }));
    stream.write({ events: events.map(encodeEvent), chains: [] });
    await stored;
    stream.end();
  } finally {
    intake.close();
  }
}

/** Whether the record has such a finding about the hop, or about the reporter. */
export async function found({ running }: Scene, kind: FindingKind, about: string, withinMs: number): Promise<string> {
  for (const until = Date.now() + withinMs; Date.now() < until; await sleep(200)) {
    const { findings } = await running.query.listFindings({ openOnly: false, limit: 10_000, afterId: 0 });
    if (findings.some((finding) => finding.kind === kind && finding.key.includes(about))) return kind;
  }
  return REACHED;
}

/** A call of middle's to back on that user's chain, which back's sidecar reports truly. */
async function call(scene: Scene, user: 'ada' | 'bob'): Promise<{ hopId: Buffer; chain: Fields; header: string }> {
  const chain = await scene.handedOn(user);
  const header = scene.nextHop();
  const outcome = await scene.present(chain, { as: scene.middle, hop: header });
  if (outcome !== REACHED) throw new Error(`the call itself was refused: ${outcome}`);
  return { hopId: Buffer.from(header.split('.')[0]!, 'base64url'), chain, header };
}

/** What an honest sidecar of middle's would have reported of it. */
function honest(scene: Scene, { hopId, chain, header }: Awaited<ReturnType<typeof call>>): Hop {
  const root = partOf(chain['txn-token'], 1) as { sub: string; txn: string };
  return sampleHop({
    hopId,
    parentHopId: Buffer.alloc(0),
    requestId: Buffer.from(header.split('.')[2]!, 'base64url'),
    side: 'SIDE_CALLER',
    caller: scene.middle.spiffeId,
    callee: workload('back'),
    ownSerial: Buffer.from(scene.middle.current().serialHex, 'hex'),
    chainId: Buffer.from(scene.slotOf(chain), 'base64url'),
    txn: root.txn,
    depth: linksOf(chain).length,
    scope: 'notes:read',
    personal: samplePersonal({ subject: root.sub }),
    actors: [workload('front'), scene.middle.spiffeId],
  }).hop;
}

function asSubject(hop: Hop, subject: string): Hop {
  return { ...hop, personal: { ...hop.personal!, subject } };
}

const keyOf = (hopId: Buffer): string => hopId.toString('base64url');

export const recordAttempts: readonly Attempt[] = [
  {
    name: 'lying-sidecar-reports-another-user',
    has: HAS,
    expect: 'sides_disagree',
    off: ['disagreement'],
    async run(scene) {
      const made = await call(scene, 'ada');
      const bob = partOf((await scene.captured('bob'))['txn-token'], 1)['sub'] as string;
      await report(scene, { hops: [asSubject(honest(scene, made), bob)] });
      return found(scene, 'sides_disagree', keyOf(made.hopId), SOON_MS);
    },
  },
  {
    name: 'lying-sidecar-reports-another-user-on-a-true-chain',
    has: HAS,
    expect: 'chain_mismatch',
    off: ['other-chain'],
    async run(scene) {
      const made = await call(scene, 'ada');
      const bob = partOf((await scene.captured('bob'))['txn-token'], 1)['sub'] as string;
      await report(scene, { hops: [asSubject(honest(scene, made), bob)] });
      return found(scene, 'chain_mismatch', keyOf(made.hopId), SOON_MS);
    },
  },
  {
    name: 'lying-sidecar-reports-another-user’s-chain',
    has: HAS,
    expect: 'sides_disagree',
    off: ['disagreement'],
    async run(scene) {
      const made = await call(scene, 'ada');
      const other = await call(scene, 'bob');
      await report(scene, { hops: [{ ...honest(scene, other), hopId: made.hopId }] });
      return found(scene, 'sides_disagree', keyOf(made.hopId), SOON_MS);
    },
  },
  {
    name: 'lying-sidecar-reports-another-transaction',
    has: HAS,
    expect: 'sides_disagree',
    off: ['disagreement'],
    async run(scene) {
      const made = await call(scene, 'ada');
      await report(scene, { hops: [{ ...honest(scene, made), txn: randomBytes(16).toString('base64url') }] });
      return found(scene, 'sides_disagree', keyOf(made.hopId), SOON_MS);
    },
  },
  {
    name: 'lying-sidecar-tells-what-another-did',
    has: HAS,
    expect: 'foreign_side',
    off: ['foreign-side'],
    async run(scene) {
      const hopId = randomBytes(12);
      const invented = { ...honest(scene, await call(scene, 'ada')), hopId, caller: workload('front') };
      await report(scene, { hops: [invented] });
      return found(scene, 'foreign_side', keyOf(hopId), SOON_MS);
    },
  },
  {
    name: 'lying-sidecar-leaves-out-an-event',
    has: HAS,
    expect: 'sequence_gap',
    off: ['gap'],
    async run(scene) {
      // Each report has an epoch of its own, so that its first number tells this gap from others.
      const firstSeq = 2 + randomBytes(2).readUInt16BE();
      const { running } = scene;
      const before = (await running.query.listFindings({ openOnly: false, limit: 10_000, afterId: 0 })).findings;
      await report(scene, { hops: [honest(scene, await call(scene, 'ada'))], firstSeq });
      const { findings } = await running.query.listFindings({ openOnly: false, limit: 10_000, afterId: 0 });
      const gaps = findings.filter(
        ({ id, kind, detail }) =>
          kind === 'sequence_gap' && detail.includes('/middle"') && before.every((one) => one.id !== id),
      );
      return gaps.length > 0 ? 'sequence_gap' : REACHED;
    },
  },
  {
    name: 'lying-sidecar-drops-its-report',
    has: 'middle’s keys, a chain handed to middle',
    expect: 'callee_without_caller',
    off: ['one-sided'],
    async run(scene) {
      const { hopId } = await call(scene, 'ada');
      return found(scene, 'callee_without_caller', keyOf(hopId), OVERDUE_MS);
    },
  },
  {
    name: 'lying-sidecar-invents-a-call',
    has: HAS,
    expect: 'caller_without_callee',
    off: ['one-sided'],
    async run(scene) {
      const hopId = randomBytes(12);
      await report(scene, { hops: [{ ...honest(scene, await call(scene, 'ada')), hopId }] });
      return found(scene, 'caller_without_callee', keyOf(hopId), OVERDUE_MS);
    },
  },
];
