/** `behalf check context`: runs an app and says whether, and how, it passes context on (docs/context.md). */
import { BehalfError } from '../../../errors/index.ts';
import { runHarness } from '../../check/harness.ts';
import { type BadCall, type ContextReport, reportOf, type Way } from '../../check/judge-calls.ts';
import { defineCommand } from '../../command.ts';
import { respond } from '../../output.ts';

const DEFAULT_UPSTREAMS = ['UPSTREAM_URL', 'BACK_URL'];
const MAX_REQUESTS = 100_000;
const MAX_CONCURRENCY = 1_000;
const MAX_SHOWN = 5;
const MAX_START_MS = 600_000;

export const command = defineCommand({
  usage: 'check context [--listen HOST:PORT] [--upstream NAME] -- COMMAND [ARGS…]',
  summary: 'Run an app and say whether and how it passes context on.',
  details: [
    'The app is told PORT, where to listen, and UPSTREAM_URL (and BACK_URL, and each --upstream NAME), where its calls go, with',
    'BEHALF_PORTS for the runtime hook. It is sent many requests at once, each with a context of its own in every carrier, and has',
    'to make at least one HTTP/1.1 call for each. Needs no mesh and contacts loopback only.',
    'Exit 0 where a sidecar would find the right request for every call, 1 where not, 2 for wrong use.',
    '',
    '  behalf check context -- node --import @behalf/propagate server.js',
    '  behalf check context --upstream ORDERS_URL --path /cart -- python3 app.py',
  ].join('\n'),
  flags: {
    listen: { type: 'string', value: 'HOST:PORT', description: 'Where the app listens, if not at PORT.' },
    upstream: {
      type: 'string',
      multiple: true,
      value: 'NAME',
      description: 'A variable that holds the URL of its calls.',
    },
    url: {
      type: 'string',
      value: 'URL',
      description: 'The URL of its calls, a free port of 127.0.0.1, if it is fixed.',
    },
    path: { type: 'string', value: 'PATH', description: 'What to ask for; / by default.' },
    method: { type: 'string', value: 'METHOD', description: 'How; POST by default.' },
    requests: { type: 'string', value: 'N', description: 'Requests to send; 300 by default.' },
    concurrency: { type: 'string', value: 'N', description: 'How many of them at once; 30 by default.' },
    start: { type: 'string', value: 'MS', description: 'How long the app may take to listen; 30000 by default.' },
    'trace-id': { type: 'boolean', description: 'Judge as a sidecar that takes trace ids too (`traceId: true`).' },
  },
  positionals: [1, 10_000],
  async run(values, positionals) {
    const readsTraceIds = values['trace-id'] === true;
    const { sent, calls, unanswered } = await runHarness({
      command: positionals,
      listen: values.listen === undefined ? null : addressIn(values.listen),
      upstreams: [...DEFAULT_UPSTREAMS, ...(values.upstream ?? []).map(variable)],
      sinkPort: values.url === undefined ? 0 : portIn(values.url),
      path: values.path ?? '/',
      method: (values.method ?? 'POST').toUpperCase(),
      requests: integer('requests', values.requests ?? '300', MAX_REQUESTS),
      concurrency: integer('concurrency', values.concurrency ?? '30', MAX_CONCURRENCY),
      startMs: integer('start', values.start ?? '30000', MAX_START_MS),
    });
    const report = reportOf(calls, sent, { readsTraceIds, unanswered });
    return respond(values.json, report, () => linesOf(report, readsTraceIds), report.ok ? 0 : 1);
  },
});

const HEADERS: Readonly<Record<Way, string>> = {
  context: 'Delegation-Context',
  baggage: 'baggage, its member dlg',
  trace: 'traceparent, the trace id alone',
};

function linesOf(report: ContextReport, readsTraceIds: boolean): string[] {
  const { ok, requests, calls, ways, verdicts, way, paired, unnamed, unanswered, bad } = report;
  if (calls === 0) return [`No: ${requests} requests were sent, and the app made no call to where UPSTREAM_URL leads.`];
  return [
    ok && way !== null
      ? `Yes: the app passes context on, by ${HEADERS[way]}.`
      : 'No: some calls would be refused, or be another’s.',
    '',
    `  ${requests} requests, ${calls} calls; for ${paired} of them it is known for which request they were made`,
    ...(Object.keys(ways) as Way[]).map((one) => `  ${HEADERS[one].padEnd(32)} on ${ways[one]} calls`),
    '',
    ...line(verdicts.right, 'name the right request', 'right'),
    ...line(
      verdicts.wrong,
      'name the request of somebody else: a context got lost in a queue or pool of the app',
      'WRONG',
    ),
    ...line(verdicts.mixed, 'name two requests at once', 'mixed'),
    ...line(verdicts.missing, 'name no request', 'missing'),
    ...line(verdicts.unknown, 'name a request that there is not', 'unknown'),
    ...line(paired < calls ? unnamed : 0, 'requests were named by no call', 'doubtful'),
    ...line(unanswered, 'requests were not answered', 'failed'),
    ...(bad.length > 0 ? ['', 'The first of them:', ...bad.slice(0, MAX_SHOWN).map(badLine)] : []),
    ...(!ok && !readsTraceIds && ways.trace === calls && ways.context + ways.baggage === 0
      ? ['', 'It passes the trace id on. A sidecar takes that only with `traceId: true`; judge so with --trace-id.']
      : []),
  ];
}

function badLine({ call, madeFor, named, ways, verdict }: BadCall): string {
  const made = madeFor === null ? '' : `, made for request ${madeFor}`;
  const names = named.length === 0 ? 'names none' : `names request ${named.join(' and ')} by ${ways.join(' and ')}`;
  return `  ${verdict.padEnd(9)} call ${call}${made}, ${names}`;
}

function line(count: number, what: string, word: string): string[] {
  return count === 0 ? [] : [`  ${word.padEnd(9)} ${count} ${what}`];
}

function wrong(why: string): BehalfError {
  return new BehalfError('usage', { command: 'check context', why });
}

function integer(flag: string, value: string, most: number): number {
  const number = Number(value);
  if (!/^[0-9]+$/.test(value) || number < 1 || number > most) throw wrong(`--${flag} is 1 to ${most}`);
  return number;
}

function variable(name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw wrong(`--upstream ${name} is no name of a variable`);
  return name;
}

/** Only this machine is ever asked. */
function addressIn(listen: string): string {
  if (!/^(127\.[0-9.]+|localhost):[0-9]{1,5}$/.test(listen))
    throw wrong('--listen is 127.0.0.1:PORT or localhost:PORT');
  return listen;
}

function portIn(url: string): number {
  const { hostname, port } = URL.parse(url) ?? { hostname: '', port: '' };
  if (!/^(127\.0\.0\.1|localhost)$/.test(hostname) || port === '') throw wrong('--url is http://127.0.0.1:PORT');
  return Number(port);
}
