import { expect, test } from 'vitest';
import { defineCommand } from './command.ts';

/** Runs a command with these arguments and gives what it got. */
async function got(...argv: string[]): Promise<unknown> {
  let seen: unknown;
  const command = defineCommand({
    usage: 'try',
    summary: 'For this test.',
    flags: {
      request: { type: 'string', description: 'An id.' },
      'fourteen-chars': { type: 'boolean', description: 'As long as an id.' },
    },
    positionals: [0, 2],
    run: async ({ request, 'fourteen-chars': long }, positionals) => {
      seen = { request, long, positionals };
      return 0;
    },
  });
  await command.run(argv);
  return seen;
}

test('an id that begins with a dash is no flag, as argument and as value, in its place', async () => {
  expect(await got('-AAAAAAAAAAAAAAA', 'BBBBBBBBBBBBBBBB')).toMatchObject({
    positionals: ['-AAAAAAAAAAAAAAA', 'BBBBBBBBBBBBBBBB'],
  });
  expect(await got('--request', '--AAAAAAAAAAAAA_')).toMatchObject({ request: '--AAAAAAAAAAAAA_', positionals: [] });
});

test('a flag as long as an id stays a flag, and an unknown flag is wrong use', async () => {
  expect(await got('--fourteen-chars')).toMatchObject({ long: true });
  await expect(got('--nonsense')).rejects.toMatchObject({ code: 'usage' });
});

test('a value that begins with a dash is taken by the flag that wants one, unless it is a flag itself', async () => {
  expect(await got('--request', '-9f_43characters-of-a-hash')).toMatchObject({ request: '-9f_43characters-of-a-hash' });
  await expect(got('--request', '--fourteen-chars')).rejects.toMatchObject({ code: 'usage' });
  await expect(got('--request', '-h')).rejects.toMatchObject({ code: 'usage' });
});
