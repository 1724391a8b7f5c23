/** `behalf chain diff`: what differs between two chains, of recorded calls or pasted ones. No token is shown. */
import { BehalfError } from '../../../errors/index.ts';
import { isHopText, readPastedChain } from '../../chain/chain-input.ts';
import { type ChainDiff, diffChains } from '../../chain/diff-chain.ts';
import { findCall, headersOfBody, whyNoChain } from '../../chain/recorded-chain.ts';
import { type ChainView, viewChain } from '../../chain/view-chain.ts';
import { defineCommand } from '../../command.ts';
import { printable, type Style, styleFor } from '../../draw/style.ts';
import { connectQuery, type QueryClient } from '../../hops/query.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { columns, respond } from '../../output.ts';

const COMMAND = 'chain diff';

export const command = defineCommand({
  usage: 'chain diff <hop|FILE> <hop|FILE>',
  summary: 'Tell what differs between two chains, link by link: who, scope, times, depth, transaction.',
  details:
    'Each is a hop id of the record, or a file with the header lines (- for standard input, once). Judges no signature.\n' +
    'Exit 0 if they are the same, 1 if they differ.',
  flags: { dir: DIR_FLAG },
  positionals: [2, 2],
  async run(values, positionals) {
    const [one, other] = positionals as [string, string];
    if (one === '-' && other === '-')
      throw new BehalfError('usage', { command: COMMAND, why: 'standard input is one chain' });
    const [a, b] = await readBoth(one, other, values.dir);
    const diff = diffChains(a, b);
    const same = diff.differences.length === 0;
    const style = styleFor(process.stdout, values['no-color']);
    return respond(values.json, { same, ...diff }, () => linesOf(diff, style), same ? 0 : 1);
  },
});

async function readBoth(one: string, other: string, dir: string | undefined): Promise<[ChainView, ChainView]> {
  if (!isHopText(one) && !isHopText(other)) return [viewChain(readPastedChain(one)), viewChain(readPastedChain(other))];
  return asOperator(directoryOf(dir), async (operator) => {
    const query = connectQuery(operator);
    return [await readOne(query, one), await readOne(query, other)];
  });
}

async function readOne(query: QueryClient, what: string): Promise<ChainView> {
  if (!isHopText(what)) return viewChain(readPastedChain(what));
  const { chain, view } = await findCall(query, what);
  if (chain === null) throw new BehalfError('not_found', { hop: what, why: whyNoChain(view) });
  return viewChain(headersOfBody(chain));
}

function linesOf({ differences, relation }: ChainDiff, style: Style): string[] {
  if (differences.length === 0) return [relation];
  const shown = (value: string | null): string => (value === null ? 'not there' : printable(value));
  const rows = differences.map(({ object, member, a, b }) => [object, member, shown(a), shown(b)]);
  const [head = '', ...lines] = columns([['', '', 'A', 'B'], ...rows]);
  return [style.bold(relation), '', style.dim(head), ...lines];
}
