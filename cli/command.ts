/**
 * What a command is. Each stands in its own module under `commands/`, which the router loads only once it knows that the
 * command is meant, so that `behalf --help` costs nothing.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { BehalfError } from '../errors/index.ts';

/** 0 yes or done, 1 no or failed, 2 wrong use (DESIGN section 11). */
export type ExitCode = 0 | 1 | 2;

/** A flag as `parseArgs` takes it, with what `--help` says about it. */
export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  readonly short?: string;
  readonly description: string;
  /** How the value is shown in `--help`, such as `FILE`. */
  readonly value?: string;
}

export type Flags = Readonly<Record<string, Flag>>;

type Value<F extends Flag> = F extends { readonly type: 'boolean' }
  ? boolean
  : F extends { readonly multiple: true }
    ? string[]
    : string;

/** The values of a command's flags; absent where not given. */
export type Values<F extends Flags> = { readonly [K in keyof F]?: Value<F[K]> };

/** Flags that every command has. */
const COMMON_FLAGS = {
  help: { type: 'boolean', short: 'h', description: 'Show this help.' },
  json: { type: 'boolean', description: 'Answer for programs: the last line of standard output is one JSON object.' },
  'no-color': { type: 'boolean', description: 'No colour, also on a terminal (NO_COLOR does the same).' },
} as const satisfies Flags;

type CommonValues = Values<typeof COMMON_FLAGS>;

export interface CommandSpec<F extends Flags> {
  /** After `behalf`, such as `chain show <hop>`. */
  readonly usage: string;
  /** One sentence. */
  readonly summary: string;
  /** More for `--help`: paragraphs, examples. */
  readonly details?: string;
  readonly flags: F;
  /** Least and most positional arguments. */
  readonly positionals: readonly [least: number, most: number];
  run(values: Values<F> & CommonValues, positionals: readonly string[]): Promise<ExitCode>;
}

/** A command whose flags' types are closed over. */
export interface Command {
  readonly help: string;
  run(argv: readonly string[]): Promise<ExitCode>;
}

/** Closes a command over its flags. Its `run` throws `usage` for wrong flags or arguments. */
export function defineCommand<const F extends Flags>(spec: CommandSpec<F>): Command {
  return {
    help: helpOf(spec),
    async run(argv) {
      const { values, positionals } = parse(spec, argv);
      if (values.help === true) {
        process.stdout.write(`${helpOf(spec)}\n`);
        return 0;
      }
      const [least, most] = spec.positionals;
      if (positionals.length < least || positionals.length > most) {
        throw new BehalfError('usage', {
          command: nameOf(spec),
          why: positionals.length < least ? 'an argument is missing' : 'too many arguments',
        });
      }
      return spec.run(values, positionals);
    },
  };
}

/** Stands before a value that would be taken for a flag; no argument of a process can have it. */
const VALUE_MARK = '\0';

type Options = NonNullable<ParseArgsConfig['options']>;

/**
 * Ids and hashes are base64url: one in 64 begins with a dash. Such an argument is a value where a flag wants one and it is no
 * flag itself, and where it has the form of a hop's or request's id (16 characters).
 */
function markDashedValues(argv: readonly string[], options: Options): string[] {
  return argv.map((arg, at) => {
    if (!arg.startsWith('-') || isFlag(arg, options)) return arg;
    const wanted = /^--([^=]+)$/.exec(argv[at - 1] ?? '')?.[1] ?? '';
    const isValue = Object.hasOwn(options, wanted) && options[wanted]?.type === 'string';
    return isValue || /^-[A-Za-z0-9_-]{15}$/.test(arg) ? `${VALUE_MARK}${arg}` : arg;
  });
}

function isFlag(arg: string, options: Options): boolean {
  const name = /^--([^=]+)/.exec(arg)?.[1];
  if (name !== undefined) return Object.hasOwn(options, name);
  return Object.values(options).some(({ short }) => short !== undefined && arg === `-${short}`);
}

function withoutMark<T>(value: T): T {
  return typeof value === 'string' && value.startsWith(VALUE_MARK) ? (value.slice(1) as T & string) : value;
}

function parse<F extends Flags>(
  spec: CommandSpec<F>,
  argv: readonly string[],
): { values: Values<F> & CommonValues; positionals: string[] } {
  const options: Options = {};
  for (const [name, flag] of Object.entries<Flag>({ ...COMMON_FLAGS, ...spec.flags })) {
    options[name] = {
      type: flag.type,
      multiple: flag.multiple ?? false,
      ...(flag.short === undefined ? {} : { short: flag.short }),
    };
  }
  try {
    const args = markDashedValues(argv, options);
    const { values, positionals } = parseArgs({ args, options, strict: true, allowPositionals: true });
    const unmarked = Object.entries(values).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map(withoutMark) : withoutMark(value),
    ]);
    return {
      values: Object.fromEntries(unmarked) as Values<F> & CommonValues,
      positionals: positionals.map(withoutMark),
    };
  } catch (cause) {
    throw new BehalfError(
      'usage',
      { command: nameOf(spec), why: (cause as Error).message.split('. To specify')[0]! },
      { cause },
    );
  }
}

/** The words of the usage before its arguments. */
function nameOf({ usage }: Pick<CommandSpec<Flags>, 'usage'>): string {
  return usage.split(/ (?=[[<A-Z-])/, 1)[0]!;
}

function helpOf(spec: CommandSpec<Flags>): string {
  const flags = Object.entries<Flag>({ ...spec.flags, ...COMMON_FLAGS }).map(([name, flag]) => {
    const short = flag.short === undefined ? '' : `-${flag.short}, `;
    const value = flag.type === 'boolean' ? '' : ` ${flag.value ?? 'VALUE'}`;
    return [
      `  ${short}--${name}${value}`,
      `${flag.description}${flag.multiple === true ? ' May be repeated.' : ''}`,
    ] as const;
  });
  const width = Math.min(34, Math.max(...flags.map(([left]) => left.length)));
  const lines = flags.map(([left, right]) =>
    left.length > width ? `${left}\n${' '.repeat(width + 2)}${right}` : `${left.padEnd(width + 2)}${right}`,
  );
  const details = spec.details === undefined ? '' : `\n${spec.details.trim()}\n`;
  return `Usage: behalf ${spec.usage} [flags]\n\n${spec.summary}\n${details}\nFlags:\n${lines.join('\n')}`;
}
