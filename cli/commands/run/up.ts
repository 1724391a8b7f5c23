/** `behalf up`: a mesh on this machine, from `behalf.yaml`; with `--demo` the demo shop and its story. */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { BehalfError } from '../../../errors/index.ts';
import { defineCommand } from '../../command.ts';
import { styleFor } from '../../draw/style.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { openMeshLog } from '../../mesh/mesh-log.ts';
import { startMesh } from '../../mesh/start-mesh.ts';
import { takeStateDir } from '../../mesh/state-dir.ts';
import { listenForStop, unlessStopped } from '../../mesh/until-stopped.ts';
import { answer, columns, say } from '../../output.ts';
import { withDevAccounts } from '../../up/dev-accounts.ts';
import { readUpPlan } from '../../up/up-plan.ts';

const DEFAULT_FILE = 'behalf.yaml';

export const command = defineCommand({
  usage: 'up',
  summary: 'Start a mesh on this machine, each part a process of its own, and keep it up until Ctrl-C.',
  details:
    'Without --demo it reads behalf.yaml, which names the policy folder and says where each service runs (`behalf config schema up`).\n' +
    'The state stays in the directory: the next `behalf up` goes on with the same keys and the same record.\n' +
    'With --demo it begins anew with the demo shop, tells its story, and stays up unless --once is given.',
  flags: {
    demo: { type: 'boolean', description: 'The demo shop and its story.' },
    once: { type: 'boolean', description: 'With --demo: end after the story; exit 0 if all went as it should.' },
    config: { type: 'string', value: 'FILE', short: 'c', description: `${DEFAULT_FILE} by default.` },
    dir: DIR_FLAG,
  },
  positionals: [0, 0],
  async run(values) {
    const directory = directoryOf(values.dir);
    if (values.once === true && values.demo !== true)
      throw new BehalfError('usage', { command: 'up', why: '--once goes with --demo' });
    if (values.demo === true) {
      if (values.config !== undefined)
        throw new BehalfError('usage', { command: 'up', why: '--demo brings its own configuration' });
      const { runDemo } = await import('../../story/run-demo.ts');
      return runDemo({
        directory,
        once: values.once === true,
        json: values.json === true,
        style: styleFor(process.stdout, values['no-color'] === true || values.json === true),
      });
    }
    const file = resolve(values.config ?? DEFAULT_FILE);
    if (values.config === undefined && !existsSync(file))
      throw new BehalfError('usage', {
        command: 'up',
        why: `there is no ${DEFAULT_FILE} here; name one with --config, or try --demo`,
      });
    const given = readUpPlan(file);
    const stop = listenForStop();
    const dir = takeStateDir(directory, { fresh: false });
    const plan = { ...given, authority: withDevAccounts(given.authority ?? {}, dir, dirname(file)) };
    const progress = (what: string) => process.stderr.write(`starting ${what}\n`);
    const starting = startMesh({ plan, dir, log: openMeshLog(dir), signal: stop.signal, progress });
    const mesh = await unlessStopped(stop, starting);
    if (mesh === null) return 1;
    try {
      if (values.json === true) answer({ ready: true, dir: dir.path, ...mesh.file });
      else {
        say(
          '',
          ...columns(
            mesh.file.services.map(({ name, entry, peers, app }) => [
              name,
              `app ${app ?? 'none'}`,
              entry === null ? '' : `entry ${entry}`,
              Object.entries(peers)
                .map(([peer, url]) => `${peer} is ${url}`)
                .join('  '),
            ]),
          ),
          '',
          `authority ${mesh.file.authority?.issuer ?? 'none'}; state and logs in ${dir.path}`,
          'Everything is up. Ctrl-C ends it.',
        );
      }
      await Promise.race([stop.asked, mesh.children.died]);
      return 0;
    } finally {
      await mesh.stop();
    }
  },
});
