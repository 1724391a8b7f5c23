/** Random and mutated inputs to the parser of chains and hop ids: coded refusals only, and memory stays flat. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type ChainVector, parseChain, parseHop } from '../../../delegation/index.ts';
import { BehalfError } from '../../../errors/index.ts';
import { createMutator } from '../../chain-reference/mutations.ts';
import { editBytes } from '../../chain-reference/odd-bytes.ts';
import { oddText } from '../../chain-reference/odd-values.ts';
import { createRandom, type Random } from '../../chain-reference/random.ts';
import { type CaseRange, type DrillCount, MAX_FAILED } from './compare-mutations.ts';

const CODES: ReadonlySet<string> = new Set([
  'delegation_missing',
  'delegation_malformed',
  'delegation_too_large',
  'delegation_unsupported',
]);
/** Different chains that inputs are made from. */
const BASES = 500;
/** What the heap may grow by between the middle and the end: far less than a kept byte an input would show. */
const MAX_GROWTH_BYTES = 4 * 1024 * 1024;

type Headers = Pick<ChainVector, 'txn_token' | 'delegation_chain' | 'delegation_credentials' | 'delegation_hop'>;

export function feedParser({ seed, from, count }: CaseRange, say: (line: string) => void): DrillCount {
  const mutate = createMutator(`${seed}/base`);
  const bases = Array.from({ length: BASES }, (_, i) => mutate(2 * i).vector);
  const verdicts = new Map<string, number>();
  const failed: string[] = [];
  let held = 0;
  let middle = 0;
  const start = usedBytes();
  say(`parser, start: ${megabytes(start)}`);
  for (let i = from; i < from + count; i++) {
    const random = createRandom(`${seed}/input/${i}`);
    const answer = answerTo(inputFrom(random.of(bases), random));
    verdicts.set(answer, (verdicts.get(answer) ?? 0) + 1);
    if (answer === 'parsed' || CODES.has(answer)) held++;
    else if (failed.length < MAX_FAILED) failed.push(`input ${seed}/${i}: ${answer}`);
    if (i - from === count >>> 1) {
      middle = usedBytes();
      say(`parser, middle (${i - from}): ${megabytes(middle)}`);
    }
  }
  const end = usedBytes();
  say(`parser, end (${count}): ${megabytes(end)}`);
  for (const [name, times] of [...verdicts].sort()) say(`  ${name}: ${times}`);
  const grew = end - middle;
  if (grew > MAX_GROWTH_BYTES) failed.push(`memory grew by ${grew} bytes in the second half`);
  return { tried: count + 1, held: held + (grew > MAX_GROWTH_BYTES ? 0 : 1), failed };
}

function answerTo(headers: Headers): string {
  try {
    parseChain({
      txnToken: headers.txn_token,
      delegationChain: headers.delegation_chain,
      delegationCredentials: headers.delegation_credentials,
    });
    parseHop(headers.delegation_hop);
    return 'parsed';
  } catch (error) {
    return error instanceof BehalfError ? error.code : `threw ${error}`.slice(0, 200);
  }
}

/** Noise, JSON noise in the place of a payload, nested brackets, or a chain with odd bytes. */
function inputFrom(base: Headers, random: Random): Headers {
  const input = { ...base } as ChainVector;
  switch (random.below(6)) {
    case 0:
      return { ...base, txn_token: noise(random, 200) };
    case 1:
      return { ...base, delegation_chain: noise(random, 3000), delegation_hop: noise(random, 60) };
    case 2:
      return { ...base, txn_token: withPayload(base.txn_token, nested(random)) };
    case 3:
      return { ...base, txn_token: withPayload(base.txn_token, noise(random, 500)) };
    case 4:
      return { ...base, txn_token: withPayload(base.txn_token, oddText(payloadOf(base.txn_token), random)) };
    default:
      for (let edits = 1 + random.below(4); edits > 0; edits--) editBytes(input, random);
      return input;
  }
}

function noise(random: Random, most: number): string {
  const size = random.below(most);
  const kind = random.below(3);
  if (kind === 0) return Buffer.from(Array.from({ length: size }, () => random.below(256))).toString('latin1');
  const alphabet = kind === 1 ? 'ABab01-_.., ' : '{}[]":,\\u0dtrfn1e+-. ';
  return Array.from({ length: size }, () => alphabet.charAt(random.below(alphabet.length))).join('');
}

function nested(random: Random): string {
  const open = random.of(['[', '{"a":', '[{"a":[', '"']);
  return open.repeat(random.below(800)) + random.of(['', '1', ']'.repeat(700)]);
}

function payloadOf(token: string | null): string {
  return Buffer.from(token?.split('.')[1] ?? '', 'base64url').toString();
}

function withPayload(token: string | null, payload: string): string {
  const [header, , signature] = (token ?? '').split('.');
  return `${header}.${Buffer.from(payload).toString('base64url')}.${signature}`;
}

/** Heap in use after a full collection, so that only what is kept counts. */
function usedBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

function megabytes(used: number): string {
  const { rss } = process.memoryUsage();
  return `heap ${(used / 2 ** 20).toFixed(1)} MiB, resident ${(rss / 2 ** 20).toFixed(1)} MiB`;
}

let collector: (() => void) | null = null;
function collect(): void {
  if (collector === null) {
    setFlagsFromString('--expose-gc');
    collector = runInNewContext('gc') as () => void;
  }
  collector();
}
