/** `behalf hops`: calls as a tree, from the record. */
import { BehalfError } from '../../../errors/index.ts';
import type { SummaryResponse } from '../../../proto/behalf/audit/v1/audit.ts';
import { defineCommand, type ExitCode } from '../../command.ts';
import { type Style, styleFor } from '../../draw/style.ts';
import { count, instant, shortName } from '../../draw/words.ts';
import { drawRequest, hopJson } from '../../hops/draw-hops.ts';
import { beganUs, type Folded, foldAlike } from '../../hops/fold-alike.ts';
import { groupByRequest, joinHops } from '../../hops/hop-view.ts';
import { accountNames, connectQuery, listHops, pseudonymOf } from '../../hops/query.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { columns, respond } from '../../output.ts';

const DEFAULT_LAST = 5;

export const command = defineCommand({
  usage: 'hops',
  summary: 'Show calls: who called whom, on whose behalf, what was left of the scope, and what was decided.',
  details:
    'Shows the newest user requests, each as a tree of its hops. Requests in a row that differ in nothing but ids and times are\n' +
    'shown once and counted. Filters are joined by and.',
  flags: {
    user: {
      type: 'string',
      value: 'ACCOUNT',
      description: 'Calls on behalf of this local account (or a pseudonym `u:…`).',
    },
    request: { type: 'string', value: 'ID', description: 'Calls of one user request.' },
    from: { type: 'string', value: 'SPIFFE_ID', description: 'Calls by this workload.' },
    to: { type: 'string', value: 'SPIFFE_ID', description: 'Calls of this service.' },
    code: { type: 'string', value: 'CODE', description: 'Calls refused with this code.' },
    refused: { type: 'boolean', description: 'Refused calls only.' },
    last: { type: 'boolean', description: 'The newest request only.' },
    summary: { type: 'boolean', description: 'Totals of the whole record and of each reporter instead.' },
    limit: {
      type: 'string',
      value: 'N',
      description: `How many requests to show, ${DEFAULT_LAST} by default; 0 for all.`,
    },
    dir: DIR_FLAG,
  },
  positionals: [0, 0],
  async run(values) {
    const limit = values.last === true ? 1 : Number(values.limit ?? DEFAULT_LAST);
    if (!Number.isSafeInteger(limit) || limit < 0)
      throw new BehalfError('usage', { command: 'hops', why: '--limit is not a number' });
    return asOperator(directoryOf(values.dir), async (operator) => {
      if (values.summary === true) return tellSummary(values.json, await connectQuery(operator).summary({}));
      const subject =
        values.user === undefined || values.user.startsWith('u:')
          ? values.user
          : await pseudonymOf(operator, values.user);
      const events = await listHops(connectQuery(operator), {
        subject: subject ?? '',
        ...(values.request === undefined ? {} : { requestId: Buffer.from(values.request, 'base64url') }),
        caller: values.from ?? '',
        callee: values.to ?? '',
        code: values.code ?? '',
        refusedOnly: values.refused === true,
      });
      const requests = groupByRequest(joinHops(events)).toSorted((a, b) => beganUs(a) - beganUs(b));
      const newest = <T>(all: readonly T[]): readonly T[] => (limit === 0 ? all : all.slice(-limit));
      const shown = newest(requests);
      const names = await accountNames(operator);
      const style = styleFor(process.stdout, values['no-color']);
      const nameSubject = (id: string): string =>
        id.startsWith('spiffe:') ? shortName(id) : names.has(id) ? `${names.get(id)} (${id})` : id;
      return respond(
        values.json,
        { requests: shown.map(({ request, hops }) => ({ request, hops: hops.map(hopJson) })), total: requests.length },
        () => {
          const folded = foldAlike(requests);
          const drawn = values.last === true ? shown.map((first) => ({ first, more: [] })) : newest(folded);
          if (drawn.length === 0) return ['no such call is on record'];
          const told = drawn.reduce((sum, { more }) => sum + 1 + more.length, 0);
          return [
            ...drawn.flatMap((one, at) => [
              ...(at > 0 ? [''] : []),
              ...drawRequest(one.first, style, nameSubject),
              ...moreLike(one, style),
            ]),
            ...(told < requests.length && values.last !== true
              ? ['', style.dim(`the newest ${told} of ${requests.length} requests; --limit 0 shows all`)]
              : []),
          ];
        },
        shown.length === 0 ? 1 : 0,
      );
    });
  },
});

function moreLike({ more }: Folded, style: Style): string[] {
  const last = more.at(-1);
  if (last === undefined) return [];
  return [
    style.dim(
      `and ${count(more.length, 'request')} more like it, the last at ${instant(beganUs(last))} UTC: ${last.request}`,
    ),
  ];
}

/** Totals; exit code 1 where calls are reported by one side only, which a settled record does not have. */
function tellSummary(
  json: boolean | undefined,
  { hops, denied, oneSided, logSize, reporters }: SummaryResponse,
): ExitCode {
  const shown = reporters.map(({ epoch, ...reporter }) => ({ ...reporter, epoch: epoch.toString('hex') }));
  return respond(
    json,
    { hops, denied, oneSided, logSize, reporters: shown },
    () => [
      `${hops} calls are on record, ${denied} of them refused, ${oneSided} reported by one side only; the log has ${logSize} records`,
      '',
      ...columns([
        ['REPORTER', 'EVENTS', 'NUMBERS'],
        ...shown.map(({ reporter, events, firstSeq, lastSeq }) => [
          reporter,
          String(events),
          `${firstSeq} to ${lastSeq}`,
        ]),
      ]),
    ],
    oneSided === 0 ? 0 : 1,
  );
}
