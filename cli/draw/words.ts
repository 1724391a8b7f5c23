/** Times, durations and amounts as people write them. */
import { printable } from './style.ts';

/** `3 min 20 s`, `45 s`, `2 h`, `12 d`: two parts at most. */
export function lifetime(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return join(Math.floor(s / 60), 'min', s % 60, 's');
  if (s < 172_800) return join(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min');
  return join(Math.floor(s / 86_400), 'd', Math.floor((s % 86_400) / 3600), 'h');
}

/** `840 us`, `3.2 ms`, `1.40 s`. */
export function duration(microseconds: number): string {
  if (microseconds < 1000) return `${Math.round(microseconds)} us`;
  if (microseconds < 1_000_000) return `${(microseconds / 1000).toFixed(microseconds < 10_000 ? 1 : 0)} ms`;
  return `${(microseconds / 1_000_000).toFixed(2)} s`;
}

/** `2025-11-24 22:10:03.214` in UTC, from microseconds since the epoch. */
export function instant(microseconds: number): string {
  return new Date(microseconds / 1000).toISOString().replace('T', ' ').replace('Z', '');
}

/** `1 hop`, `2 hops`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** The last part of a SPIFFE ID, which is how people call a service; `outside` for none. */
export function shortName(spiffeId: string): string {
  return spiffeId === '' ? 'outside' : printable(spiffeId.slice(spiffeId.lastIndexOf('/') + 1));
}

function join(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}
