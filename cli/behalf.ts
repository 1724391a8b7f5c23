#!/usr/bin/env -S node
/**
 * `behalf`: one command for all of the mesh. This file finds the command that is meant, runs it and turns what it throws into
 * a message and an exit code. It loads nothing heavy: the command's own module is imported only once it is known.
 */
import { readFileSync } from 'node:fs';
import { BehalfError, codeOf, ERROR_TABLE } from '../errors/index.ts';
import type { Command, ExitCode } from './command.ts';
import { COMMANDS, type CommandName, isCommandName } from './commands.ts';
import { nearestName } from './nearest.ts';

process.exitCode = await main(process.argv.slice(2));

async function main(given: readonly string[]): Promise<ExitCode> {
  const argv = given[0] === 'help' ? [...given.slice(1), '--help'] : given;
  try {
    if (argv[0] === '--version') return showVersion();
    const found = findCommand(argv);
    if (found === null) return showOverview(argv);
    return await found.command.run(found.rest);
  } catch (thrown) {
    return report(thrown, argv.includes('--json'));
  }
}

/** The command that the first one or two words name, or null where only `--help` or nothing was asked for. */
function findCommand(argv: readonly string[]): { command: Command; rest: readonly string[] } | null | never {
  for (const words of [2, 1]) {
    const name = argv.slice(0, words).join(' ');
    if (argv.length >= words && isCommandName(name)) return { command: lazy(name), rest: argv.slice(words) };
  }
  const asked = argv.filter((word) => !word.startsWith('-'));
  const isGroup = asked.length === 1 && Object.keys(COMMANDS).some((name) => name.startsWith(`${asked[0]} `));
  if (asked.length === 0 || isGroup) return null;
  const given = asked.slice(0, 2).join(' ');
  const meant = nearestName(given, Object.keys(COMMANDS)) ?? nearestName(asked[0]!, Object.keys(COMMANDS));
  throw new BehalfError('usage', {
    command: given.slice(0, 80),
    why: meant === null ? 'no such command' : `no such command; did you mean \`behalf ${meant}\`?`,
  });
}

function showVersion(): ExitCode {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  process.stdout.write(`behalf ${version}\n`);
  return 0;
}

function lazy(name: CommandName): Command {
  return {
    help: '',
    run: async (argv) => (await COMMANDS[name].load()).command.run(argv),
  };
}

function showOverview(argv: readonly string[]): ExitCode {
  const group = argv.find((word) => !word.startsWith('-'));
  const names = (Object.keys(COMMANDS) as CommandName[]).filter(
    (name) => group === undefined || name.startsWith(`${group} `),
  );
  const width = Math.max(...names.map((name) => name.length));
  const lines = names.map((name) => `  ${name.padEnd(width)}  ${COMMANDS[name].summary}`);
  const text = `Usage: behalf <command> [flags]\n\n${lines.join('\n')}\n\n\`behalf <command> --help\` tells more about each. Exit codes: 0 yes or done, 1 no or failed, 2 wrong use.\n`;
  const asked = argv.includes('--help') || argv.includes('-h');
  (asked ? process.stdout : process.stderr).write(text);
  return asked ? 0 : 2;
}

/** The one catch: a code becomes a message for a person, or the answer line for a program. */
function report(thrown: unknown, json: boolean): ExitCode {
  const code = codeOf(thrown);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (json) process.stdout.write(`${JSON.stringify({ ok: false, code, message })}\n`);
  process.stderr.write(`${wording(thrown, message)}\n`);
  if (code === 'internal') process.stderr.write(`${thrown instanceof Error ? thrown.stack : ''}\n`);
  else if (code !== 'usage') process.stderr.write(`        ${ERROR_TABLE[code].action}\n`);
  return code === 'usage' || code === 'config_invalid' ? 2 : 1;
}

/** Wrong use is told as every command line tool does; anything else by its code, which the documentation explains. */
function wording(thrown: unknown, message: string): string {
  if (!(thrown instanceof BehalfError) || thrown.code !== 'usage') return `behalf: ${message}`;
  const { command = '', why = '' } = thrown.detail;
  const name = isCommandName(String(command)) ? ` ${command}` : '';
  return `behalf${name === '' && command !== '' ? `: ${command}` : name}: ${why}\nSee \`behalf${name} --help\`.`;
}
