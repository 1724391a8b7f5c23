/** `behalf token create`: a one-time join token, written to a file for its owner alone. */
import { writeFileSync } from 'node:fs';
import { BehalfError } from '../../../errors/index.ts';
import { parseSpiffeId } from '../../../identity/index.ts';
import { registration } from '../../../proto/behalf/ca/v1/ca.ts';
import { defineCommand } from '../../command.ts';
import { instant } from '../../draw/words.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { respond } from '../../output.ts';

const DEFAULT_TTL_S = 600;

export const command = defineCommand({
  usage: 'token create <spiffe-id> --out FILE',
  summary: 'Make a one-time join token, by which a workload without another attestation obtains this SPIFFE ID once.',
  flags: {
    out: { type: 'string', value: 'FILE', description: 'Where to write the token (mode 0600). It is shown nowhere.' },
    ttl: {
      type: 'string',
      value: 'SECONDS',
      description: `How long the unused token is good, ${DEFAULT_TTL_S} by default.`,
    },
    dir: DIR_FLAG,
  },
  positionals: [1, 1],
  async run(values, [id]) {
    const { out } = values;
    const spiffeId = parseSpiffeId(id);
    const ttlS = Number(values.ttl ?? DEFAULT_TTL_S);
    if (out === undefined) throw new BehalfError('usage', { command: 'token create', why: '--out is missing' });
    if (!Number.isSafeInteger(ttlS) || ttlS < 1)
      throw new BehalfError('usage', { command: 'token create', why: '--ttl is not a number of seconds' });
    return asOperator(directoryOf(values.dir), async ({ connect, mesh }) => {
      const { token, expiresS } = await connect(registration, mesh.ca).createJoinToken({ spiffeId, ttlS });
      // `wx`: a token that lies there already is somebody's.
      writeFileSync(out, token, { mode: 0o600, flag: 'wx' });
      return respond(values.json, { spiffeId, file: out, expiresS }, () => [
        `a join token for ${spiffeId} is in ${out}, good until ${instant(expiresS * 1_000_000).slice(0, 19)} UTC`,
      ]);
    });
  },
});
