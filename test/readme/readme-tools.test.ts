/** The test of the README is worth what its comparison is: each way in which a README can lie is seen. */
import { expect, test } from 'vitest';
import { walkthroughOf } from './blocks.ts';
import { firstMissing, withNames } from './output.ts';

const PAGE = [
  '<!-- walkthrough: run -->',
  '```sh',
  'behalf hops',
  '```',
  '```text',
  'request …',
  '…',
  '  └─ desk → archive  hop zCzE6LXDAAAAAAAC',
  '```',
].join('\n');
const PRINTED = 'request 42\nsomething else\n  └─ desk → archive  hop AAAAAAAAAAAAAAAA\n';

test('a marked block has its commands and the lines that they print', () => {
  expect(walkthroughOf(PAGE)).toEqual([
    {
      kind: 'run',
      argument: '',
      text: 'behalf hops',
      output: ['request …', '└─ desk → archive  hop zCzE6LXDAAAAAAAC'],
    },
  ]);
});

test('commands that no test would run are refused, and so is a mark without a block', () => {
  expect(() => walkthroughOf('```sh\nrm -rf\n```')).toThrow('never run');
  expect(() => walkthroughOf('<!-- walkthrough: run -->\nno block')).toThrow('no block');
});

test('ids of the README stand for those of this run, in output and in later commands', () => {
  const names = new Map<string, string>();
  expect(firstMissing(walkthroughOf(PAGE)[0]!.output, PRINTED, names)).toBeNull();
  expect(withNames('behalf chain show zCzE6LXDAAAAAAAC', names)).toBe('behalf chain show AAAAAAAAAAAAAAAA');
});

test.each([
  ['a line that was not printed', ['request …', 'refused']],
  ['lines in another order', ['└─ desk → archive  hop zCzE6LXDAAAAAAAC', 'request …']],
  ['a line of which only the beginning was printed', ['request 42 of 42']],
  ['a line of which only the end is shown', ['else']],
  ['a line twice that was printed once', ['something else', 'something else']],
  ['a character that means something to a pattern', ['request .2']],
])('%s is missing', (_, shown) => {
  expect(firstMissing(shown, PRINTED, new Map())).not.toBeNull();
});
