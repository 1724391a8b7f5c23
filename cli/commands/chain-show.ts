/** `behalf chain show`: on whose authority a call ran, in words, judged again from the record. */
import { decodeEvent } from '../../audit/event/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { judgeRecorded, readRecorded, tellChain } from '../chain/judge-chain.ts';
import { defineCommand } from '../command.ts';
import { styleFor } from '../draw/style.ts';
import { instant, shortName } from '../draw/words.ts';
import { hopJson, routeOf } from '../hops/draw-hops.ts';
import { codeOfHop, isRefused, joinHops, startUs } from '../hops/hop-view.ts';
import { accountNames, connectQuery } from '../hops/query.ts';
import { DIR_FLAG, directoryOf } from '../mesh/dir-flag.ts';
import { asOperator } from '../mesh/operator.ts';
import { respond } from '../output.ts';

export const command = defineCommand({
  usage: 'chain show <hop>',
  summary:
    'Tell in words on whose authority a call ran: the user, the client, the consent, and who handed what to whom.',
  details:
    'The recorded signatures are verified again with the mesh’s published keys, as of the time of the call. No token or key is shown.',
  flags: { dir: DIR_FLAG },
  positionals: [1, 1],
  async run(values, [hop]) {
    return asOperator(directoryOf(values.dir), async (operator) => {
      const hopId = Buffer.from(hop!, 'base64url');
      if (hopId.length !== 12)
        throw new BehalfError('usage', { command: 'chain show', why: 'a hop id has 16 characters' });
      const { chain, events } = await connectQuery(operator).getChain({ hopId });
      const view = joinHops(events).find(({ id }) => id === hop);
      if (view === undefined) throw new BehalfError('not_found', { hop: hop!.slice(0, 40) });
      const { main } = view;
      const style = styleFor(process.stdout, values['no-color']);
      const headline = `${main.hop.side === 'SIDE_ENTRY' ? 'outside' : shortName(main.hop.caller)} → ${shortName(main.hop.callee)}  ${routeOf(main.hop)}  ${instant(startUs(view))} UTC`;
      if (chain === null) {
        const why =
          main.hop.chainId.length > 0
            ? 'The chain is no longer kept.'
            : isRefused(view)
              ? `Refused with ${codeOfHop(view)} before a delegation was verified, so none is on record.`
              : 'The call carried no delegation.';
        return respond(values.json, { ...hopJson(view), delegation: null, why }, () => [style.bold(headline), why]);
      }
      const recorded = readRecorded(chain);
      const verdict = judgeRecorded(recorded, await operator.bundle(), startUs(view) / 1e6);
      const names = await accountNames(operator);
      const { sub, tctx, scope, txn, iat, exp, req_wl } = recorded.root.claims;
      const links =
        recorded.kind === 'root'
          ? []
          : recorded.parsed.hops.map(({ link, holder }) => ({
              from: holder,
              to: link.claims.aud,
              depth: link.claims.del_depth,
              iat: link.claims.iat,
              exp: link.claims.exp,
              scope: link.scope,
            }));
      const others = events.filter(({ event }) => decodeEvent(event).body === 'hop').length;
      return respond(
        values.json,
        {
          ...hopJson(view),
          delegation: {
            txn,
            sub,
            client: tctx.client_id ?? null,
            consent: tctx.consent ?? null,
            purpose: tctx.purpose ?? null,
            scope,
            entry: req_wl,
            iat,
            exp,
            links,
          },
          verified: verdict.holds,
          code: verdict.holds ? null : verdict.code,
        },
        () => [
          style.bold(headline),
          '',
          ...tellChain(recorded, (subject) => (names.has(subject) ? `${names.get(subject)} (${subject})` : subject)),
          '',
          verdict.holds
            ? style.good('All signatures and rules hold, judged again now as of the time of the call.')
            : style.bad(`It does not hold: ${verdict.why}`),
          style.dim(`${others} reports in the log name this chain.`),
        ],
        verdict.holds ? 0 : 1,
      );
    });
  },
});
