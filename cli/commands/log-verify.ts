/** `behalf log verify`: judges a copy of the log offline, with nothing but a checkpoint and the log's public key. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readLogFolder, verifyEntries, verifyLog } from '../../audit/verify-log/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { defineCommand } from '../command.ts';
import { directoryOf } from '../mesh/dir-flag.ts';
import { asOperator } from '../mesh/operator.ts';
import { respond } from '../output.ts';

export const command = defineCommand({
  usage: 'log verify [--dir DIR --key KEY]',
  summary:
    'Check a copy of the log offline: every entry and tile against the signed checkpoint. Names the first place that differs.',
  details:
    'DIR holds tiles as the collector keeps them in <dataDir>/log (C2SP tlog-tiles). KEY is the log’s C2SP verifier key, or a file\n' +
    'with it; it stands in the mesh bundle under behalf.log_keys. Asks nobody and needs no running mesh.\n' +
    'Without both it checks the log of the running mesh in .behalf [BEHALF_DIR], with the key that its CA states.',
  flags: {
    dir: { type: 'string', value: 'DIR', description: 'The folder of tiles.' },
    checkpoint: {
      type: 'string',
      value: 'FILE',
      description: 'The checkpoint to check against; the one in DIR by default.',
    },
    key: { type: 'string', value: 'KEY|FILE', description: 'The log’s public key.' },
    inclusion: {
      type: 'string',
      multiple: true,
      value: 'INDEX',
      description: 'Also prove that this entry is in the log, by its inclusion path.',
    },
  },
  positionals: [0, 0],
  async run(values) {
    if ((values.dir === undefined) !== (values.key === undefined)) throw wrong('--dir and --key go together');
    const { dir, key } =
      values.dir === undefined || values.key === undefined
        ? await ofRunningMesh()
        : { dir: values.dir, key: values.key };
    const indexes = (values.inclusion ?? []).map((text) => {
      if (!/^\d{1,15}$/.test(text)) throw wrong('--inclusion is not the index of an entry');
      return Number(text);
    });
    const copy = {
      checkpoint: read(values.checkpoint ?? join(dir, 'checkpoint')),
      vkey: key.includes('+') ? key : read(key).trim(),
      folder: readLogFolder(dir),
    };
    const verdict = verifyLog(copy);
    if (!verdict.ok) {
      const { place, expected, found } = verdict;
      return respond(
        values.json,
        { ok: false, code: 'log_inconsistent', place, expected, found },
        () => [`the log is NOT what was signed: ${place}`, `  expected ${expected}`, `  found    ${found}`],
        1,
      );
    }
    const inclusion = verifyEntries(copy, indexes).map(({ index, ok, leaf }) => ({
      index,
      ok,
      leaf: leaf?.toString('hex') ?? null,
    }));
    const { origin, size, root } = verdict;
    const allProved = inclusion.every(({ ok }) => ok);
    return respond(
      values.json,
      { ok: allProved, origin, size, root: root.toString('hex'), inclusion },
      () => [
        `the log ${origin} is what was signed: ${size} entries under root ${root.toString('hex')}`,
        ...inclusion.map(
          ({ index, ok, leaf }) =>
            `${ok ? 'proved' : 'NOT proved'}: entry ${index}${leaf === null ? ', which is not there' : `, leaf ${leaf}`}`,
        ),
      ],
      allProved ? 0 : 1,
    );
  },
});

/** The log's folder and key in the mesh that commands find without being told. */
async function ofRunningMesh(): Promise<{ dir: string; key: string }> {
  return asOperator(directoryOf(undefined), async ({ mesh, bundle }) => {
    const [key] = (await bundle()).logKeys;
    if (key === undefined) throw new BehalfError('not_found', { why: 'the mesh’s bundle names no log key yet' });
    return { dir: mesh.collector.logDir, key };
  });
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new BehalfError(
      'not_found',
      { file, why: (cause as NodeJS.ErrnoException).code ?? 'cannot be read' },
      { cause },
    );
  }
}

function wrong(why: string): BehalfError {
  return new BehalfError('usage', { command: 'log verify', why });
}
