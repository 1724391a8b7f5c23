/**
 * What a grant allows in detail (RFC 9396), and how much of it went out. A spendable limit is one for the whole grant: each root
 * takes its part when it is minted, and what is left is for the next; what a root did not use is not given back, as nobody here
 * sees what became of it. Durable before the root is signed, so that no crash lets a part go out twice.
 */
import {
  type AuthorizationDetail,
  type DetailTypes,
  hasDetailForm,
  isDetailSubset,
  isSpendable,
  matchDetails,
  parseDetailsText,
  quantityOf,
  withQuantity,
} from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { Database } from '../store/database.ts';

/** Entries of one grant. Roots and tokens that carry them have limits of their own, which they stay well below. */
const MAX_GRANTED = 8;
/** Bytes of their JSON text, as granted. */
const MAX_GRANTED_TEXT = 1_536;

export interface GrantDetails {
  /** Keeps what a user agreed to. Inside the transaction that makes the grant. */
  add(grantId: string, details: readonly AuthorizationDetail[]): void;
  /** What was granted, spent or not. */
  of(grantId: string): readonly AuthorizationDetail[];
  /** The same for all grants of a consent, oldest first. */
  ofConsent(consentId: string): readonly AuthorizationDetail[];
  /**
   * Takes what is asked for one root. Asked is JSON text, empty for nothing: entries in full, or `{"type": …}` alone for all
   * that is granted and left of that type. Inside a transaction, which the root's signing ends.
   * @throws {BehalfError} `details_unsupported`; `delegation_scope_widened` where more is asked than was granted;
   *   `details_exhausted` where too little of it is left
   */
  reserve(grantId: string, asked: string): readonly AuthorizationDetail[];
}

interface Granted {
  readonly place: number;
  readonly entry: AuthorizationDetail;
  readonly spent: bigint;
}

export interface GrantDetailDeps {
  readonly database: Database;
  readonly types: () => DetailTypes;
}

/**
 * Takes details that a client asks a user for.
 * @throws {BehalfError} `details_unsupported` where they are no list of entries of registered types and their forms
 */
export function readAskedOfUser(text: string, types: DetailTypes): readonly AuthorizationDetail[] {
  const details = Buffer.byteLength(text) > MAX_GRANTED_TEXT ? null : parseDetailsText(text);
  if (details === null || details.length > MAX_GRANTED) {
    throw unsupported(`not a JSON array of 1 to ${MAX_GRANTED} entries, ${MAX_GRANTED_TEXT} bytes at most`);
  }
  for (const entry of details) checkForm(entry, types);
  return details;
}

export function createGrantDetails({ database: { sql }, types }: GrantDetailDeps): GrantDetails {
  const insert = sql.prepare("INSERT INTO grant_detail (grant_id, place, entry, spent) VALUES (?, ?, ?, '0')");
  const select = sql.prepare('SELECT place, entry, spent FROM grant_detail WHERE grant_id = ? ORDER BY place');
  const selectOfConsent = sql.prepare(
    `SELECT d.place, d.entry, d.spent FROM grant_detail d JOIN consent_grant g ON g.grant_id = d.grant_id
     WHERE g.consent = ? ORDER BY g.rowid, d.place`,
  );
  const spend = sql.prepare('UPDATE grant_detail SET spent = ? WHERE grant_id = ? AND place = ?');
  const granted = (grantId: string): readonly Granted[] => select.all(grantId).map(parseRow);

  return {
    add(grantId, details) {
      for (const [place, entry] of details.entries()) insert.run(grantId, place, JSON.stringify(entry));
    },
    of: (grantId) => granted(grantId).map(({ entry }) => entry),
    ofConsent: (consentId) => selectOfConsent.all(consentId).map((row) => parseRow(row).entry),
    reserve(grantId, asked) {
      if (asked === '') return [];
      const wishes = parseDetailsText(asked);
      if (wishes === null) throw unsupported('not a JSON array of objects with a `type`');
      const known = types();
      const held = granted(grantId);
      const { taken, places } = choose(wishes, held, known);
      for (const { place, spent } of without(held, { taken, places }, known))
        if (spent !== held[place]?.spent) spend.run(String(spent), grantId, place);
      return taken;
    },
  };
}

/**
 * What is asked of details that are held, with the meaning of `GrantDetails.reserve`; `before`: what was given of them already.
 * @throws {BehalfError} `details_unsupported`, `delegation_scope_widened`, `details_exhausted`
 */
export function chooseDetails(
  asked: string,
  held: readonly AuthorizationDetail[],
  types: DetailTypes,
  before: readonly (readonly AuthorizationDetail[])[] = [],
): readonly AuthorizationDetail[] {
  const wishes = parseDetailsText(asked);
  if (wishes === null) throw unsupported('not a JSON array of objects with a `type`');
  let left: readonly Granted[] = held.map((entry, place) => ({ place, entry, spent: 0n }));
  for (const given of before) left = without(left, choose(given, left, types), types);
  return choose(wishes, left, types).taken;
}

interface Choice {
  readonly taken: readonly AuthorizationDetail[];
  /** For each, the granted entry that it is a part of. */
  readonly places: readonly number[];
}

/** Bare types first become entries; then each entry is given a granted one of its own. */
function choose(wishes: readonly AuthorizationDetail[], held: readonly Granted[], types: DetailTypes): Choice {
  const taken = wishes.flatMap((wish) => (isBare(wish) ? allLeft(wish.type, held, types) : [wish]));
  for (const entry of taken) checkForm(entry, types);
  const isPart = (i: number, p: number) =>
    isDetailSubset(taken[i] as AuthorizationDetail, (held[p] as Granted).entry, types);
  if (matchDetails(taken.length, held.length, isPart) === null) {
    throw new BehalfError('delegation_scope_widened', {
      member: 'authorization_details',
      why: 'asks for more than was granted',
    });
  }
  const isLeft = (i: number, p: number) =>
    isPart(i, p) &&
    (quantityOf(taken[i] as AuthorizationDetail, types)?.value ?? 0n) <= leftOf(held[p] as Granted, types);
  const places = matchDetails(taken.length, held.length, isLeft);
  if (places === null) throw new BehalfError('details_exhausted', { member: 'authorization_details' });
  return { taken, places };
}

/** What is left after a choice. */
function without(held: readonly Granted[], { taken, places }: Choice, types: DetailTypes): readonly Granted[] {
  return held.map((granted, p) => {
    const i = places.indexOf(p);
    const size = i === -1 ? 0n : (quantityOf(taken[i] as AuthorizationDetail, types)?.value ?? 0n);
    return size === 0n ? granted : { ...granted, spent: granted.spent + size };
  });
}

function isBare(entry: AuthorizationDetail): boolean {
  return Object.keys(entry).length === 1;
}

/** @throws {BehalfError} `details_exhausted` where something was granted and nothing of it is left; `details_unsupported` */
function allLeft(type: string, held: readonly Granted[], types: DetailTypes): readonly AuthorizationDetail[] {
  if (!types.has(type)) throw unsupported('a type that is not registered');
  const ofType = held.filter(({ entry }) => entry.type === type);
  const left = ofType.flatMap((granted) => {
    const { entry } = granted;
    if (!isSpendable(entry, types)) return [entry];
    const value = leftOf(granted, types);
    const unit = quantityOf(entry, types)?.unit ?? '';
    return value > 0n ? [withQuantity(entry, { unit, value }, types)] : [];
  });
  if (left.length === 0 && ofType.length > 0) throw new BehalfError('details_exhausted', { type });
  return left;
}

/** How much of a granted entry no root has taken. */
function leftOf({ entry, spent }: Granted, types: DetailTypes): bigint {
  return (quantityOf(entry, types)?.value ?? 0n) - spent;
}

function checkForm(entry: AuthorizationDetail, types: DetailTypes): void {
  const type = types.get(entry.type);
  if (type === undefined) throw unsupported('a type that is not registered');
  if (!hasDetailForm(entry, type)) throw unsupported(`not of the form of \`${type.type}\``);
}

function unsupported(why: string): BehalfError {
  return new BehalfError('details_unsupported', { member: 'authorization_details', why });
}

function parseRow(row: Record<string, unknown>): Granted {
  return {
    place: Number(row['place']),
    entry: JSON.parse(String(row['entry'])) as AuthorizationDetail,
    spent: BigInt(String(row['spent'])),
  };
}
