/** `behalf log verify`: judges a copy of the log offline, with nothing but a checkpoint and the log's public key. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Difference, readLogFolder, verifyEntries, verifyLog } from '../../../audit/verify-log/index.ts';
import { checkRecord } from '../../../collector/store/check-record.ts';
import { BehalfError } from '../../../errors/index.ts';
import { defineCommand, type ExitCode } from '../../command.ts';
import { directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { respond } from '../../output.ts';

/** The collector keeps its database beside the log. */
const RECORD_FILE = 'record.sqlite';

export const command = defineCommand({
  usage: 'log verify [--dir DIR --key KEY]',
  summary:
    'Check a copy of the log offline: every entry and tile against the signed checkpoint. Names the first place that differs.',
  details:
    'DIR holds tiles as the collector keeps them in <dataDir>/log (C2SP tlog-tiles). KEY is the log’s C2SP verifier key, or a file\n' +
    'with it; it stands in the mesh bundle under behalf.log_keys. Asks nobody and needs no running mesh.\n' +
    'Without both it checks the log of the running mesh in .behalf [BEHALF_DIR], with the key that its CA states, and the\n' +
    'collector’s database, which is what queries answer from, against it.',
  flags: {
    dir: { type: 'string', value: 'DIR', description: 'The folder of tiles.' },
    checkpoint: {
      type: 'string',
      value: 'FILE',
      description: 'The checkpoint to check against; the one in DIR by default.',
    },
    key: { type: 'string', value: 'KEY|FILE', description: 'The log’s public key.' },
    record: {
      type: 'string',
      value: 'FILE',
      description:
        'Also check the collector’s database (record.sqlite) against the log: every event, and what is derived.',
    },
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
    const { dir, key, record } =
      values.dir === undefined || values.key === undefined
        ? await ofRunningMesh()
        : { dir: values.dir, key: values.key, record: values.record ?? null };
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
    if (!verdict.ok) return differs(values.json, 'the log is NOT what was signed', verdict);
    const kept = record === null ? null : checkRecord({ file: record, folder: copy.folder, size: verdict.size });
    if (kept?.ok === false)
      return differs(values.json, 'the log is what was signed, but the database is NOT what is in it', kept);
    const inclusion = verifyEntries(copy, indexes).map(({ index, ok, leaf }) => ({
      index,
      ok,
      leaf: leaf?.toString('hex') ?? null,
    }));
    const { origin, size, root } = verdict;
    const allProved = inclusion.every(({ ok }) => ok);
    return respond(
      values.json,
      { ok: allProved, origin, size, root: root.toString('hex'), inclusion, record: kept },
      () => [
        `the log ${origin} is what was signed: ${size} entries under root ${root.toString('hex')}`,
        ...(kept === null
          ? []
          : [`the database holds exactly its ${kept.events} events, ${kept.erased} of them with erased persons`]),
        ...inclusion.map(
          ({ index, ok, leaf }) =>
            `${ok ? 'proved' : 'NOT proved'}: entry ${index}${leaf === null ? ', which is not there' : `, leaf ${leaf}`}`,
        ),
      ],
      allProved ? 0 : 1,
    );
  },
});

/** Tells the first place that differs. */
function differs(json: boolean | undefined, what: string, { place, expected, found }: Difference): ExitCode {
  return respond(
    json,
    { ok: false, code: 'log_inconsistent', place, expected, found },
    () => [`${what}: ${place}`, `  expected ${expected}`, `  found    ${found}`],
    1,
  );
}

/** The log's folder, its key and the database in the mesh that commands find without being told. */
async function ofRunningMesh(): Promise<{ dir: string; key: string; record: string }> {
  return asOperator(directoryOf(undefined), async ({ mesh, bundle }) => {
    const [key] = (await bundle()).logKeys;
    if (key === undefined) throw new BehalfError('not_found', { why: 'the mesh’s bundle names no log key yet' });
    const dir = mesh.collector.logDir;
    return { dir, key, record: join(dirname(dir), RECORD_FILE) };
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
