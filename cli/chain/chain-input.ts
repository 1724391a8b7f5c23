/**
 * A chain as a person has it: pasted header lines in a file or on standard input, or three flags. Everything here is a bearer
 * secret until its end, so nothing of it is ever written anywhere.
 */
import { readFileSync } from 'node:fs';
import type { ChainHeaders } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { Flags, Values } from '../command.ts';

/** More than the headers of any chain that verifies (16 KiB), with a whole head around them. */
const MAX_INPUT_BYTES = 131_072;

/** Flags of every command that takes a pasted chain. */
export const PASTED_FLAGS = {
  'txn-token': {
    type: 'string',
    value: 'VALUE',
    description: 'The value of `Txn-Token`. A file is safer: others may see arguments.',
  },
  chain: { type: 'string', value: 'VALUE', description: 'The value of `Delegation-Chain`.' },
  credentials: { type: 'string', value: 'VALUE', description: 'The value of `Delegation-Credentials`.' },
} as const satisfies Flags;

const NAMES = ['txn-token', 'delegation-chain', 'delegation-credentials'] as const;
type HeaderName = (typeof NAMES)[number];

/** The chain of the three flags, or null where none of them was given. */
export function chainOfFlags(values: Values<typeof PASTED_FLAGS>): ChainHeaders | null {
  const { 'txn-token': txnToken, chain, credentials } = values;
  if (txnToken === undefined && chain === undefined && credentials === undefined) return null;
  return {
    txnToken: txnToken ?? null,
    delegationChain: chain ?? null,
    delegationCredentials: credentials ?? null,
  };
}

/**
 * The chain in a file, or on standard input for `-`.
 * @throws {BehalfError} `not_found` for a file that cannot be read, and as `parseHeaderLines`
 */
export function readPastedChain(file: string): ChainHeaders {
  let text: Buffer;
  try {
    text = readFileSync(file === '-' ? 0 : file);
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'cannot be read';
    throw new BehalfError('not_found', { file: file === '-' ? 'standard input' : file, why }, { cause });
  }
  if (text.length > MAX_INPUT_BYTES)
    throw new BehalfError('delegation_too_large', { object: 'input', size: text.length, limit: MAX_INPUT_BYTES });
  return parseHeaderLines(text.toString('latin1'));
}

/**
 * Finds the three headers among lines as tools print them (`Name: value`, curl's `> ` before it); other lines are passed over.
 * @throws {BehalfError} `delegation_malformed` for a header that stands twice, `request_malformed` where there is none of them
 */
export function parseHeaderLines(text: string): ChainHeaders {
  const found: Partial<Record<HeaderName, string>> = {};
  for (const line of text.split('\n')) {
    const bare = line.replace(/^[<>] /, '');
    const colon = bare.indexOf(':');
    const name = bare.slice(0, Math.max(0, colon)).trim().toLowerCase();
    if (!isHeaderName(name)) continue;
    if (found[name] !== undefined)
      throw new BehalfError('delegation_malformed', { object: name, why: 'more than once' });
    found[name] = bare.slice(colon + 1).trim();
  }
  if (Object.keys(found).length === 0)
    throw new BehalfError('request_malformed', { why: 'none of Txn-Token, Delegation-Chain, Delegation-Credentials' });
  return {
    txnToken: found['txn-token'] ?? null,
    delegationChain: found['delegation-chain'] ?? null,
    delegationCredentials: found['delegation-credentials'] ?? null,
  };
}

/** A hop id as it is written everywhere: 12 bytes in base64url. */
export function isHopText(text: string): boolean {
  return /^[A-Za-z0-9_-]{16}$/.test(text);
}

/** @throws {BehalfError} `usage` for what is no hop id */
export function requireHopId(text: string, command: string): string {
  if (!isHopText(text)) throw new BehalfError('usage', { command, why: 'a hop id has 16 characters' });
  return text;
}

function isHeaderName(name: string): name is HeaderName {
  return (NAMES as readonly string[]).includes(name);
}
