/** `behalf chain show`: on whose authority a call ran, or a pasted chain would run, in words. No token is shown. */
import { decodeEvent } from '../../../audit/event/index.ts';
import type { ChainHeaders } from '../../../delegation/index.ts';
import { BehalfError } from '../../../errors/index.ts';
import { chainOfFlags, isHopText, PASTED_FLAGS, readPastedChain } from '../../chain/chain-input.ts';
import { outcomeOf } from '../../chain/check-list.ts';
import { findPutOff, putOffJson, tellPutOff } from '../../chain/put-off.ts';
import { findCall, headersOfBody, judgeRecorded, whyNoChain } from '../../chain/recorded-chain.ts';
import { tellChain } from '../../chain/tell-chain.ts';
import { type ChainView, viewChain } from '../../chain/view-chain.ts';
import { defineCommand, type ExitCode } from '../../command.ts';
import { type Style, styleFor } from '../../draw/style.ts';
import { count } from '../../draw/words.ts';
import { headlineOf, hopJson } from '../../hops/draw-hops.ts';
import { accountNames, connectQuery } from '../../hops/query.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { respond } from '../../output.ts';

const COMMAND = 'chain show';

export const command = defineCommand({
  usage: 'chain show <hop|FILE|->',
  summary:
    'Tell in words on whose authority a call ran: the user, the client, the consent, who handed what to whom, and who signed.',
  details:
    'Takes a hop id of the record, or a chain: a file (or - for standard input) with the lines `Txn-Token: …`, `Delegation-Chain: …` and\n' +
    '`Delegation-Credentials: …`, as curl -v prints them too, or the three flags. A recorded chain is verified again as of the time of the\n' +
    'call; of a pasted one only the form is judged, `behalf chain verify --bundle` does the rest. No token, signature or key is ever shown.',
  flags: { ...PASTED_FLAGS, dir: DIR_FLAG },
  positionals: [0, 1],
  async run(values, [what]) {
    const style = styleFor(process.stdout, values['no-color']);
    const flags = chainOfFlags(values);
    if (flags !== null && what !== undefined) throw wrong('the chain is given twice');
    if (flags !== null) return showPasted(values.json, flags, style);
    if (what === undefined) throw wrong('name a hop, a file, or the three flags');
    if (!isHopText(what)) return showPasted(values.json, readPastedChain(what), style);
    return showRecorded(values, what, style);
  },
});

function showPasted(json: boolean | undefined, headers: ChainHeaders, style: Style): ExitCode {
  const view = viewChain(headers);
  return respond(json, { delegation: delegationJson(view), verified: null }, () => [
    ...tellChain(view, (subject) => subject),
    '',
    style.dim('Only its form was judged; `behalf chain verify --bundle FILE` judges signatures and rules.'),
  ]);
}

function showRecorded(
  values: { readonly json?: boolean; readonly dir?: string },
  hop: string,
  style: Style,
): Promise<ExitCode> {
  return asOperator(directoryOf(values.dir), async (operator) => {
    const query = connectQuery(operator);
    const call = await findCall(query, hop);
    const { view, chain, events } = call;
    const headline = style.bold(headlineOf(view));
    if (chain === null) {
      const why = whyNoChain(view);
      return respond(values.json, { ...hopJson(view), delegation: null, why }, () => [headline, why]);
    }
    const chainView = viewChain(headersOfBody(chain));
    const { checks } = await judgeRecorded({ ...call, chain }, { query, bundle: await operator.bundle() });
    const outcome = outcomeOf(checks);
    const holds = outcome.kind === 'holds';
    const putOff = await findPutOff(query, view.main);
    const names = await accountNames(operator);
    const reports = events.filter(({ event }) => decodeEvent(event).body === 'hop').length;
    const failing = checks.find(({ verdict }) => verdict === 'refused');
    return respond(
      values.json,
      {
        ...hopJson(view),
        delegation: delegationJson(chainView),
        verified: holds,
        outcome: outcome.kind,
        code: outcome.kind === 'refused' ? outcome.code : null,
        putOff: putOffJson(putOff),
      },
      () => [
        headline,
        '',
        ...tellChain(chainView, (subject) => (names.has(subject) ? `${names.get(subject)} (${subject})` : subject)),
        ...putOff.flatMap((one) => ['', ...tellPutOff(one)]),
        '',
        ...(holds
          ? [
              style.good('All signatures and rules hold, judged again now as of the time of the call.'),
              style.good('The log commits to this very chain.'),
            ]
          : [
              style.bad(
                failing === undefined
                  ? 'Not every signature can be judged any more: `behalf chain verify --from-log` says which.'
                  : `It does not hold: ${failing.check}: ${failing.code}, ${failing.why}`,
              ),
            ]),
        style.dim(`${count(reports, 'report')} in the log ${reports === 1 ? 'names' : 'name'} this chain.`),
      ],
      holds ? 0 : 1,
    );
  });
}

/** The chain for programs. */
function delegationJson({ root, links }: ChainView): object {
  return {
    ...root,
    scope: root.scope.join(' '),
    links: links.map((link) => ({ ...link, scope: link.scope.join(' ') })),
  };
}

function wrong(why: string): BehalfError {
  return new BehalfError('usage', { command: COMMAND, why });
}
