/**
 * `behalf chain verify`: judges a chain in hand or on record, each check as a line; or runs test vectors through the library
 * that the sidecars use.
 */
import { readFileSync } from 'node:fs';
import { type VectorResult, verifyVector } from '../../../delegation/vector/verify-vector.ts';
import { BehalfError } from '../../../errors/index.ts';
import { CHAIN_VERIFY_FLAGS, meansChain, verifyGivenChain } from '../../chain/verify-command.ts';
import { defineCommand } from '../../command.ts';
import { printable } from '../../draw/style.ts';
import { answer, say } from '../../output.ts';

export const command = defineCommand({
  usage: 'chain verify [FILE|-]',
  summary: 'Verify a delegation chain offline as a sidecar would, each check as a line; or test vectors.',
  details: `A chain in hand: \`behalf chain verify --bundle bundle.json FILE\`, where FILE (or - for standard input) has the lines
\`Txn-Token: …\`, \`Delegation-Chain: …\`, \`Delegation-Credentials: …\`. What is not said (--me, --peer, --route …) is not judged.
A recorded call: \`--from-log HOP\` takes its chain from the record, judges it as of the call, and proves that the log commits to it.
Exit 0 if all signatures and rules hold that can be judged, 1 if not, 2 for wrong use. No token is ever shown.

Test vectors: \`--vector FILE…\`. With --json one line a vector:
{"name","ok","code","sub","scope","depth","asExpected"}. Exit 0 if all came out as expected.`,
  flags: {
    vector: { type: 'string', multiple: true, value: 'FILE', description: 'A vector file (docs/delegation-chain.md).' },
    ...CHAIN_VERIFY_FLAGS,
  },
  positionals: [0, Number.MAX_SAFE_INTEGER],
  async run(values, more) {
    if (meansChain(values)) {
      if (values.vector !== undefined) throw wrong('vectors or a chain, not both');
      return verifyGivenChain(values, more);
    }
    const files = [...(values.vector ?? []), ...more];
    if (files.length === 0) throw wrong('give --bundle and a chain, --from-log HOP, or --vector FILE');
    let asExpected = 0;
    for (const file of files) {
      const result = resultOf(file);
      if (result.asExpected !== false) asExpected++;
      if (values.json === true) answer(result);
      else say(lineOf(result));
    }
    if (values.json !== true) say(`${asExpected} of ${files.length} as expected`);
    return asExpected === files.length ? 0 : 1;
  },
});

function wrong(why: string): BehalfError {
  return new BehalfError('usage', { command: 'chain verify', why });
}

/** A file that is no vector is an answer too, so that the others still get theirs. */
function resultOf(file: string): VectorResult {
  try {
    return verifyVector(readVector(file));
  } catch (error) {
    if (!(error instanceof BehalfError)) throw error;
    process.stderr.write(`${printable(file)}: ${printable(error.message)}\n`);
    return { name: file, ok: false, code: error.code, sub: null, scope: null, depth: null, asExpected: false };
  }
}

function lineOf({ name, ok, code, sub, scope, asExpected }: VectorResult): string {
  const said = asExpected === null ? 'found' : asExpected ? 'as expected' : 'NOT AS EXPECTED';
  const found = ok ? `accepted for ${sub}, left: ${scope === '' ? 'none' : scope}` : code;
  return `${said}  ${printable(name)}: ${found}`;
}

function readVector(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new BehalfError('request_malformed', { file, why: (cause as Error).message.slice(0, 200) }, { cause });
  }
}
