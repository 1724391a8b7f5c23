/** `behalf explain`: why a recorded call was allowed or refused, in words. */
import { requireHopId } from '../../chain/chain-input.ts';
import { putOffJson } from '../../chain/put-off.ts';
import { defineCommand } from '../../command.ts';
import { styleFor } from '../../draw/style.ts';
import { codeOf, explainCall } from '../../explain/explain-call.ts';
import { tellCall } from '../../explain/tell-call.ts';
import { hopJson } from '../../hops/draw-hops.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { respond } from '../../output.ts';

export const command = defineCommand({
  usage: 'explain <hop>',
  summary: 'Tell in words who called whom on whose behalf, why it was allowed or refused, and what to do.',
  details:
    'Reads both sides’ reports, has the collector decide again under the snapshot of then, finds the hop at which a missing scope was\n' +
    'lost, and looks up the consent. Exit 0 whether the call was allowed or refused.',
  flags: { dir: DIR_FLAG },
  positionals: [1, 1],
  async run(values, [hop]) {
    const id = requireHopId(hop!, 'explain');
    return asOperator(directoryOf(values.dir), async (operator) => {
      const account = await explainCall(operator, id);
      const { view, decidedThen, decidedNow, losses, consent, revocations, chain } = account;
      const paragraphs = tellCall(account);
      const style = styleFor(process.stdout, values['no-color']);
      return respond(
        values.json,
        {
          ...hopJson(view),
          allowed: codeOf(view) === '',
          decision: decidedThen,
          decisionNow: decidedNow,
          losses,
          consentState: consent,
          revocations,
          putOff: putOffJson(account.putOff),
          root: chain?.root ?? null,
          liveState: { authority: view.main.hop.authorityEntry, ca: view.main.hop.caEntry },
          skewMs: view.main.hop.skewMs,
          words: paragraphs.flatMap(({ lines }) => lines),
        },
        () =>
          paragraphs.flatMap(({ about, lines }) =>
            lines.map((line, at) => `${style.dim((at === 0 ? about : '').padEnd(12))}${line}`),
          ),
      );
    });
  },
});
