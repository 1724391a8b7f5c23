/** Header values with odd bytes, which nobody signs again. */
import type { ChainVector } from '../../delegation/index.ts';
import { JSON_CHARACTERS } from './odd-values.ts';
import type { Random } from './random.ts';

const FIELDS = ['txn_token', 'delegation_chain', 'delegation_credentials', 'delegation_hop'] as const;
const CHARACTERS = `ABgw09-_.=,/+ \t\n\0"\u00e9\u{1f600}`;

const NO_HEADERS = { txn_token: null, delegation_chain: null, delegation_credentials: null };

/** A vector that may be changed. */
export type Question = { -readonly [K in keyof ChainVector]: ChainVector[K] };

export function editBytes(vector: Question, random: Random): void {
  if (random.chance(0.005)) Object.assign(vector, NO_HEADERS);
  const field = random.of(FIELDS);
  const text = vector[field] ?? '';
  const at = random.below(text.length + 1);
  const other = random.below(text.length + 1);
  switch (random.below(10)) {
    case 0:
      vector[field] = text.slice(0, at) + random.of([...CHARACTERS]) + text.slice(at + 1);
      return;
    case 1:
      vector[field] = text.slice(0, at) + random.of([...CHARACTERS]) + text.slice(at);
      return;
    case 2:
      vector[field] = text.slice(0, at) + text.slice(at + 1);
      return;
    case 3:
      vector[field] = text.slice(0, at) + text.slice(Math.min(at, other), Math.max(at, other)) + text.slice(at);
      return;
    case 4:
      vector[field] = random.chance(0.5) ? text.slice(0, at) : text.slice(at);
      return;
    case 5:
      vector[field] = random.chance(0.3)
        ? null
        : random.of(['', ', ', '.', '..', text + text, `${text}, `, `${text}, ${text}`]);
      return;
    default:
      vector[field] = editDecoded(text, random);
  }
}

/** A byte of a decoded header, payload or signature, encoded again; half the time a digit becomes another one. */
function editDecoded(text: string, random: Random): string {
  const elements = text.split(', ');
  const element = random.below(elements.length);
  const parts = (elements[element] as string).split('.');
  const part = random.below(parts.length);
  const bytes = Buffer.from(parts[part] as string, 'base64url');
  const digits = [...bytes.keys()].filter((at) => /\d/.test(String.fromCharCode(bytes[at] as number)));
  if (digits.length > 0 && random.chance(0.5)) {
    bytes[random.of(digits)] = 0x30 + random.below(10);
  } else if (bytes.length > 0) {
    const code = random.chance(0.7)
      ? JSON_CHARACTERS.charCodeAt(random.below(JSON_CHARACTERS.length))
      : random.below(256);
    bytes[random.below(bytes.length)] = code;
  }
  parts[part] = bytes.toString('base64url');
  elements[element] = parts.join('.');
  return elements.join(', ');
}
