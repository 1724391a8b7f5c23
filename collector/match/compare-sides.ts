/**
 * Whether what a sidecar reports of a hop can be true (DESIGN section 7): both sides tell of the same call, and each of the chain
 * that it names. A lying sidecar can leave things out, but it cannot give a hop to another user without the other side, or the
 * chain itself, saying otherwise. Signatures are not verified here: `behalf chain verify --from-log` does it for one chain.
 */
import type { ChainBody, Hop } from '../../proto/behalf/audit/v1/audit.ts';

/** What one side said, as its row has it. Ids are of this record; null where it named none. */
export interface SideFacts {
  readonly forwarded: boolean;
  readonly caller: string;
  readonly callee: string;
  readonly txn: string;
  readonly subject: number | null;
  readonly chain: number | null;
}

/** What a chain says of itself; nothing is verified. */
export interface ChainFacts {
  readonly subject: string;
  readonly txn: string;
  /** `req_wl`, then each `aud`. */
  readonly workloads: readonly string[];
}

/** The facts that two honest sides of one call would not tell differently; empty where they agree. */
export function disagreements(one: SideFacts, other: SideFacts): string[] {
  const both = one.forwarded && other.forwarded;
  const names = ['caller', 'callee', 'txn', 'subject', 'chain'] as const;
  return names.filter((name) => {
    const [a, b] = [one[name] ?? '', other[name] ?? ''];
    // A side that refused may have got no further than the peer: it then says less, not something else.
    return a !== b && (both || (a !== '' && b !== ''));
  });
}

/** The facts of a hop, told to be of the subject `told`, that its chain does not bear out; empty where it does. */
export function misfits(hop: Hop, told: string, { workloads, txn, subject }: ChainFacts): string[] {
  const found: string[] = [];
  if (hop.txn !== txn) found.push('txn');
  if (told !== subject) found.push('subject');
  // A caller that was refused before it signed names the chain that it holds, not one that it made.
  const isHandOver = hop.side === 'SIDE_CALLEE' || (hop.side === 'SIDE_CALLER' && hop.outcome === 'OUTCOME_FORWARDED');
  if (!isHandOver) return found;
  if (hop.callee !== workloads.at(-1)) found.push('callee');
  if (hop.caller !== workloads.at(-2)) found.push('caller');
  return found;
}

/** Null for a body that is no chain. UNTRUSTED: the reporter chose it. */
export function chainFactsOf({ txnToken, delegationChain }: Omit<ChainBody, 'chainId'>): ChainFacts | null {
  const root = payloadOf(txnToken);
  const links = delegationChain === '' ? [] : delegationChain.split(', ').map(payloadOf);
  const workloads = [root?.['req_wl'], ...links.map((link) => link?.['aud'])];
  const { sub: subject, txn } = root ?? {};
  if (typeof subject !== 'string' || typeof txn !== 'string' || !isTexts(workloads)) return null;
  return { subject, txn, workloads };
}

function isTexts(values: readonly unknown[]): values is readonly string[] {
  return values.every((value) => typeof value === 'string');
}

function payloadOf(compact: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(compact.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
