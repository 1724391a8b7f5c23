/** Makes the command that runs a part from the part's schema and start function: its flags are the schema's single values. */
import { BehalfError } from '../../errors/index.ts';
import { type Command, defineCommand, type Flag } from '../command.ts';
import { loadConfig } from '../config/load-config.ts';
import { type JsonSchema, settingsOf } from '../config/schema.ts';
import { runPart, type StartPart } from './run-part.ts';

export interface PartCommand<C> {
  readonly part: string;
  readonly summary: string;
  readonly schema: JsonSchema;
  /** Loads the part's code; called after the configuration was judged. */
  load(): Promise<StartPart<C>>;
}

/** The command `behalf <part> --config FILE`. */
export function partCommand<C>({ part, summary, schema, load }: PartCommand<C>): Command {
  const settings = settingsOf(schema);
  const flags: Record<string, Flag> = {
    config: { type: 'string', value: 'FILE', short: 'c', description: 'The part’s YAML file.' },
    'log-level': { type: 'string', value: 'LEVEL', description: 'trace, debug, info (default), warn, error or fatal.' },
  };
  for (const { flag, type, description, variable } of settings) {
    if (!Object.hasOwn(flags, flag))
      flags[flag] = { type: type === 'boolean' ? 'boolean' : 'string', description: `${description} [${variable}]` };
  }
  return defineCommand({
    usage: part,
    summary,
    details:
      'Configuration: the YAML file, over it the environment, over that the flags. `behalf config schema` prints the JSON Schema.\n' +
      'Prints one line `{"ready":true,…}` on standard output once it serves; logs go to standard error as JSON lines.\n' +
      'Ends cleanly on SIGTERM, SIGINT, or when the parent process that started it over IPC goes away.',
    flags,
    positionals: [0, 0],
    async run(values) {
      const level = values['log-level'] ?? process.env['BEHALF_LOG_LEVEL'] ?? 'info';
      if (typeof level !== 'string' || !['trace', 'debug', 'info', 'warn', 'error', 'fatal'].includes(level)) {
        throw new BehalfError('usage', { command: part, why: '--log-level is not a level' });
      }
      const file = values['config'] ?? process.env['BEHALF_CONFIG'] ?? null;
      const config = loadConfig<C>({
        schema,
        file: file === null ? null : String(file),
        environment: process.env,
        flags: values,
      });
      return runPart({ part, config, level, start: await load() });
    },
  });
}
