/**
 * Siblings that overspend: what one chain cannot show (docs/delegation-chain.md section 4, "Details"). Of every chain on record it
 * notes, for each link, how much the link hands on of each spendable entry of its parent; where the links of one parent hand on
 * more than the parent has, whoever signed them gave the same money twice. One part, one table: amounts and hashes, nothing personal.
 *
 * UNTRUSTED: the chains. Reporters verified them and the collector does not: a finding names who brought the last one, and
 * `behalf chain verify --from-log` proves who signed.
 */
import type { DatabaseSync } from 'node:sqlite';
import {
  type AuthorizationDetail,
  type DetailTypes,
  isDetailSubset,
  type ParsedChain,
  parseChain,
  quantityOf,
} from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { ChainBody } from '../../proto/behalf/audit/v1/audit.ts';

/** Links of one parent that are compared; more of them are a finding by themselves. */
const MAX_SIBLINGS = 1_024;
/** How long shares are kept: reports come late where a sidecar is cut off, and no chain lives longer than minutes. */
const KEPT_US = 7 * 24 * 3_600 * 1_000_000;

export interface Overspending {
  /** Notes a chain; gives the parents, and who signed their links, where the sum is above the limit by now. */
  note(chain: ChainBody, nowUs: number): readonly Overspent[];
  /** Forgets shares that nothing can be added to any more. */
  sweep(nowUs: number): void;
}

export interface Overspent {
  /** base64url SHA-256 of the parent's signing input. */
  readonly parent: string;
  /** SPIFFE ID that the links' place in the chain gives for their signer. */
  readonly signer: string;
  readonly links: number;
}

/** A part of one unit that a link hands on, and the parent's entries that it may be a part of. */
interface Part {
  readonly unit: string;
  readonly value: bigint;
  readonly candidates: readonly number[];
}

export function createOverspending(database: DatabaseSync, types: () => DetailTypes): Overspending {
  const insert = database.prepare(
    'INSERT INTO detail_shares (parent, link, parts, noted_us) VALUES (?, ?, ?, ?) ON CONFLICT (parent, link) DO NOTHING',
  );
  const siblings = database.prepare(`SELECT parts FROM detail_shares WHERE parent = ? LIMIT ${MAX_SIBLINGS}`);
  const forget = database.prepare('DELETE FROM detail_shares WHERE noted_us < ?');

  return {
    note(body, nowUs) {
      if (!mentionsDetails(body)) return [];
      const parsed = parsedOrNull(body);
      return parsed === null ? [] : noteLinks(parsed, nowUs);
    },
    sweep(nowUs) {
      forget.run(nowUs - KEPT_US);
    },
  };

  function noteLinks({ root, hops }: ParsedChain, nowUs: number): Overspent[] {
    const known = types();
    const found: Overspent[] = [];
    let held = root.claims.tctx.authorization_details ?? [];
    let parent = root.signingInputS256;
    for (const { link, holder } of hops) {
      const left = link.claims.authorization_details ?? held;
      const parts = partsOf(left, held, known);
      if (parts.length > 0 && insert.run(parent, link.signingInputS256, encodeParts(parts), nowUs).changes > 0) {
        const all = siblings.all(parent).map(({ parts: text }) => decodeParts(String(text)));
        if (isOver(all.flat(), held, known) || all.length >= MAX_SIBLINGS)
          found.push({ parent, signer: holder, links: all.length });
      }
      held = left;
      parent = link.signingInputS256;
    }
    return found;
  }
}

/** Cheap, as nearly no chain does: whether the root's payload could have details at all. */
function mentionsDetails({ txnToken }: ChainBody): boolean {
  return Buffer.from(txnToken.split('.')[1] ?? '', 'base64url').includes('"authorization_details"');
}

function parsedOrNull({ txnToken, delegationChain, delegationCredentials }: ChainBody): ParsedChain | null {
  // A bare root has no link, and so no share.
  if (delegationChain === '') return null;
  try {
    return parseChain({ txnToken, delegationChain, delegationCredentials });
  } catch (error) {
    if (!(error instanceof BehalfError)) throw error;
    return null;
  }
}

function partsOf(
  left: readonly AuthorizationDetail[],
  held: readonly AuthorizationDetail[],
  types: DetailTypes,
): readonly Part[] {
  return left.flatMap((entry) => {
    const quantity = quantityOf(entry, types);
    if (quantity === null) return [];
    const candidates = [...held.keys()].filter((p) => isDetailSubset(entry, held[p] as AuthorizationDetail, types));
    return [{ ...quantity, candidates }];
  });
}

/**
 * Whether no division among the parent's entries explains the parts: for some set of entries the parts that can come from nowhere
 * else sum up to more than these entries have. Of all sets those are tried that one part names, and their union; so what is found
 * is surely too much.
 */
function isOver(parts: readonly Part[], held: readonly AuthorizationDetail[], types: DetailTypes): boolean {
  const sets = new Map(parts.map(({ candidates }) => [candidates.join(), new Set(candidates)]));
  sets.set('all', new Set(held.keys()));
  for (const set of sets.values()) {
    const units = new Set(parts.map(({ unit }) => unit));
    for (const unit of units) {
      const spent = parts
        .filter((part) => part.unit === unit && part.candidates.every((p) => set.has(p)))
        .reduce((sum, { value }) => sum + value, 0n);
      if (spent > limitOf(set, unit, held, types)) return true;
    }
  }
  return false;
}

function limitOf(
  set: ReadonlySet<number>,
  unit: string,
  held: readonly AuthorizationDetail[],
  types: DetailTypes,
): bigint {
  return held.reduce((sum, entry, p) => {
    const quantity = quantityOf(entry, types);
    return set.has(p) && quantity?.unit === unit ? sum + quantity.value : sum;
  }, 0n);
}

function encodeParts(parts: readonly Part[]): string {
  return JSON.stringify(parts.map(({ unit, value, candidates }) => [unit, String(value), candidates]));
}

function decodeParts(text: string): readonly Part[] {
  return (JSON.parse(text) as [string, string, number[]][]).map(([unit, value, candidates]) => ({
    unit,
    value: BigInt(value),
    candidates,
  }));
}
