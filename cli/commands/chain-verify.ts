/** `behalf chain verify`: runs test vectors of the delegation chain through the library that the sidecars use. */
import { readFileSync } from 'node:fs';
import { type VectorResult, verifyVector } from '../../delegation/vector/verify-vector.ts';
import { BehalfError } from '../../errors/index.ts';
import { defineCommand } from '../command.ts';
import { printable } from '../draw/style.ts';
import { answer, say } from '../output.ts';

export const command = defineCommand({
  usage: 'chain verify --vector FILE',
  summary:
    'Verify the delegation chain in a test vector exactly as a sidecar would, offline, and compare with what it expects.',
  details:
    'With --json one line a vector: {"name","ok","code","sub","scope","depth","asExpected"}. Exit 0 if all came out as expected.',
  flags: {
    vector: { type: 'string', multiple: true, value: 'FILE', description: 'A vector file (docs/delegation-chain.md).' },
  },
  positionals: [0, Number.MAX_SAFE_INTEGER],
  async run(values, more) {
    const files = [...(values.vector ?? []), ...more];
    if (files.length === 0)
      throw new BehalfError('usage', { command: 'chain verify', why: 'name at least one --vector' });
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
