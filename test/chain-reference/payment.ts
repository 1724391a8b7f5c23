/** Details as section 4 of docs/delegation-chain.md has them, slow and plain; shares no code with delegation/. */

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Obj = { [name: string]: Json };

/** Whether each entry of `left` is a subset of an entry of `held` of its own. */
export function detailsWithin(left: Obj[], held: Obj[]): boolean {
  // Hall's marriage theorem, by the alternating walk that Kuhn found.
  const owner = new Map<number, number>();
  const seat = (i: number, seen: Set<number>): boolean =>
    held.some((parent, p) => {
      if (seen.has(p) || !isSubset(left[i]!, parent)) return false;
      seen.add(p);
      if (owner.has(p) && !seat(owner.get(p)!, seen)) return false;
      owner.set(p, i);
      return true;
    });
  return left.length <= held.length && left.every((_, i) => seat(i, new Set()));
}

function isSubset(child: Obj, parent: Obj): boolean {
  if (!isPayment(child) || !isPayment(parent)) return false;
  const [less, more] = [child.limit as Obj, parent.limit as Obj];
  if (less.currency !== more.currency || units(less.amount as string) > units(more.amount as string)) return false;
  for (const member of ['creditorName', 'identifier'])
    if (parent[member] !== undefined && child[member] !== parent[member]) return false;
  if (parent.creditorAccount !== undefined)
    if ((child.creditorAccount as Obj | undefined)?.iban !== (parent.creditorAccount as Obj).iban) return false;
  for (const member of ['actions', 'locations']) {
    const allowed = parent[member] as Json[] | undefined;
    const wanted = child[member] as Json[] | undefined;
    if (allowed !== undefined && !wanted?.every((item) => allowed.includes(item))) return false;
  }
  return true;
}

function isPayment(entry: Obj): boolean {
  const forms: Record<string, (value: Json) => boolean> = {
    type: (v) => v === 'payment',
    limit: isAmount,
    creditorName: (v) => plain(v, 70),
    creditorAccount: (v) =>
      isObject(v) && Object.keys(v).join() === 'iban' && matches(v.iban, /^[A-Z]{2}\d{2}[A-Z\d]{11,30}$/),
    identifier: (v) => plain(v, 64),
    actions: (v) => visibles(v, 8, 32),
    locations: (v) => visibles(v, 4, 128),
  };
  return (
    entry.limit !== undefined &&
    Object.entries(entry).every(([member, value]) => Object.hasOwn(forms, member) && forms[member]!(value))
  );
}

function isAmount(value: Json): boolean {
  if (!isObject(value) || Object.keys(value).sort().join() !== 'amount,currency') return false;
  const { currency, amount } = value;
  if (!matches(currency, /^[A-Z]{3}$/) || !matches(amount, /^(0|[1-9]\d{0,11})(\.\d{1,4})?$/)) return false;
  return (amount.split('.')[1] ?? '').length <= decimals(currency) && units(amount) > 0n;
}

function decimals(currency: string): number {
  if (/^(BIF|CLP|DJF|GNF|ISK|JPY|KMF|KRW|PYG|RWF|UGX|UYI|VND|VUV|XAF|XOF|XPF)$/.test(currency)) return 0;
  if (/^(BHD|IQD|JOD|KWD|LYD|OMR|TND)$/.test(currency)) return 3;
  return /^(CLF|UYW)$/.test(currency) ? 4 : 2;
}

const units = (amount: string) => {
  const [whole = '', part = ''] = amount.split('.');
  return BigInt(whole) * 10000n + BigInt(`${part}0000`.slice(0, 4));
};
const isObject = (value: Json | undefined): value is Obj =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const matches = (value: Json | undefined, pattern: RegExp): value is string =>
  typeof value === 'string' && !value.endsWith('\n') && pattern.test(value);
const plain = (value: Json, most: number) =>
  typeof value === 'string' &&
  value !== '' &&
  [...value].length <= most &&
  !/[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u.test(value);
const visibles = (value: Json, most: number, longest: number) =>
  Array.isArray(value) &&
  value.length >= 1 &&
  value.length <= most &&
  new Set(value).size === value.length &&
  value.every((item) => matches(item, /^[!-~]+$/) && item.length <= longest);
