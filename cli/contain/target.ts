/** What may be contained, as a person names it on the command line and as the record and the live state know it. */
import { BehalfError } from '../../errors/index.ts';

export type TargetKind = 'workload' | 'cert' | 'user' | 'client' | 'consent' | 'kid' | 'txn' | 'deferred';

/** By the flag's name; `cert` is named by its serial. */
export interface Target {
  readonly kind: TargetKind;
  /** As the record has it: a SPIFFE ID, a serial in hexadecimal, a pseudonym, an id. */
  readonly value: string;
  /** As it is called in what people read. */
  readonly label: string;
}

const TARGET_KINDS: readonly TargetKind[] = ['workload', 'cert', 'user', 'client', 'consent', 'kid', 'txn', 'deferred'];

/** Which kinds can be kept from obtaining anything new. */
export const BANNABLE: readonly TargetKind[] = ['workload', 'user', 'client'];

/**
 * The one target that was named.
 * @throws {BehalfError} `usage` where none or several were
 */
export function oneTarget(values: { readonly [K in TargetKind]?: string }): { kind: TargetKind; given: string } {
  const named = TARGET_KINDS.filter((kind) => values[kind] !== undefined);
  const [kind] = named;
  if (kind === undefined || named.length > 1) {
    const flags = TARGET_KINDS.map((one) => `--${one}`).join(', ');
    throw new BehalfError('usage', { command: 'contain', why: `name exactly one of ${flags}` });
  }
  const given = values[kind] ?? '';
  if (given === '') throw new BehalfError('usage', { command: 'contain', why: `--${kind} is empty` });
  return { kind, given };
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/**
 * `--since`: how long ago (`90s`, `30m`, `24h`, `7d`), or a time (ISO 8601, UTC unless it says otherwise). Microseconds.
 * @throws {BehalfError} `usage`
 */
export function parseSince(text: string, nowUs: number): number {
  const ago = /^([1-9]\d{0,5})([smhd])$/.exec(text);
  if (ago !== null) return nowUs - Number(ago[1]) * (UNITS[ago[2] as string] as number) * 1_000_000;
  const isTime = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?$/.test(text);
  const hasZone = /(Z|[+-]\d{2}:\d{2})$/.test(text.slice(10));
  const atMs = isTime ? Date.parse(text.length === 10 || hasZone ? text : `${text.replace(' ', 'T')}Z`) : Number.NaN;
  if (!Number.isFinite(atMs) || atMs * 1_000 > nowUs)
    throw new BehalfError('usage', {
      command: 'contain',
      why: '--since is `90s`, `30m`, `24h`, `7d` or a time that was',
    });
  return atMs * 1_000;
}
