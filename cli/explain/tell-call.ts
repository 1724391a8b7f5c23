/** One call in words: who called whom on whose behalf, with what left, why it was allowed or refused, what to do. Pure. */
import { isUser } from '../../delegation/index.ts';
import { ERROR_TABLE, isErrorCode } from '../../errors/index.ts';
import type { ExplainResponse, OwnedThing } from '../../proto/behalf/decision/v1/decision.ts';
import { utc } from '../chain/check.ts';
import { tellPutOff } from '../chain/put-off.ts';
import { detailsOf, scopesOf } from '../chain/tell-chain.ts';
import { detailsLeft } from '../chain/view-chain.ts';
import { printable } from '../draw/style.ts';
import { duration, instant, shortName } from '../draw/words.ts';
import { routeOf, tokenOf } from '../hops/draw-hops.ts';
import { type HopView, type SideReport, sideOf } from '../hops/hop-view.ts';
import { type CallAccount, codeOf } from './explain-call.ts';

/** Less is the way of a packet, and no clock’s fault. */
const SKEW_SHOWN_MS = 1_000;

/** A paragraph: what it is about, and its sentences. */
export interface Paragraph {
  readonly about: string;
  readonly lines: readonly string[];
}

/** The account in paragraphs, the most asked for first. */
export function tellCall(account: CallAccount): Paragraph[] {
  return [
    { about: 'what', lines: [whatHappened(account.view), ...onWhoseBehalf(account), ...carriedOut(account.view)] },
    { about: 'put off', lines: account.putOff.flatMap(tellPutOff) },
    { about: 'outcome', lines: outcome(account.view) },
    { about: 'why', lines: [...why(account), ...again(account)] },
    { about: 'consent', lines: consentAndRevocations(account) },
    { about: 'state', lines: [state(account)] },
    { about: 'other side', lines: otherSide(account.view) },
    { about: 'what to do', lines: whatToDo(account) },
  ].filter(({ lines }) => lines.length > 0);
}

function whatHappened({ main }: HopView): string {
  const { hop } = main;
  const from = hop.caller === '' ? 'A client outside the mesh' : shortName(hop.caller);
  const to =
    hop.exit !== ''
      ? `${printable(hop.exit)}, outside the mesh`
      : hop.callee === ''
        ? 'a service that it did not name'
        : shortName(hop.callee);
  const at = instant(main.timeUs - hop.durationUs).slice(0, 19);
  return `${from} called ${to}, ${printable(routeOf(hop))}, at ${at} UTC.`;
}

function onWhoseBehalf({ view, names, chain }: CallAccount): string[] {
  const { personal, scope, actors, depth, carrier } = view.main.hop;
  if (carrier === 'public') return ['On nobody’s behalf: it came in with no credential, by a public route.'];
  if (personal === null) return ['No delegation was read from it, or its person was erased.'];
  const { subject, clientId, purpose } = personal;
  const name = names.get(subject);
  const forWhat = purpose === '' ? '' : `, for: ${printable(purpose)}`;
  const whose = isUser(subject)
    ? `On behalf of ${printable(name === undefined ? subject : `${name} (${subject})`)}, through the client ${printable(clientId)}${forWhat}.`
    : `On the own authority of ${shortName(subject)}${forWhat}.`;
  const left = scopesOf(scope === '' ? [] : scope.split(' '));
  const way = actors.length === 0 ? '' : `, through ${actors.map(shortName).join(' → ')}`;
  const details = chain === null ? null : detailsLeft(chain);
  return [
    whose,
    `Left: ${left}; depth ${depth}${way}${carrierWords(carrier)}.`,
    ...(details === null ? [] : [`In detail: ${detailsOf(details)}.`]),
  ];
}

/** A delegation stays in the mesh; what went with the call instead. */
function carriedOut({ main: { hop } }: HopView): string[] {
  if (hop.exit === '') return [];
  const stayed = 'The delegation did not leave the mesh';
  return [hop.audience === '' ? `${stayed}, and no token went in its place.` : `${stayed}; ${tokenOf(hop)}.`];
}

function carrierWords(carrier: string): string {
  if (carrier === 'own') return '; the app named no request, so the call ran on the workload’s own authority';
  if (carrier === 'trace') return '; the app named its request by its trace id alone, the weakest way';
  if (carrier === 'deferred') return '; the app took up work that was put off';
  return carrier === 'context' || carrier === 'baggage' ? `; the app named its request by ${carrier}` : '';
}

function outcome(view: HopView): string[] {
  const code = codeOf(view);
  if (code === '') {
    const unknown = view.sides.some(({ hop }) => hop.outcome === 'OUTCOME_UNKNOWN');
    return [unknown ? 'What became of it is unknown: a sidecar died.' : `Allowed${statusOf(view.main)}.`];
  }
  const by = view.sides.map(({ hop }) => hop.refusedBy).find((one) => one !== '') ?? '';
  const ended = view.ends.some(({ end }) => end.code === code);
  const verb = ended ? 'Ended while it ran' : by === '' ? 'Failed' : 'Refused';
  const meaning = isErrorCode(code) ? ` ${ERROR_TABLE[code].meaning}` : '';
  return [`${verb}: ${code}${by === '' ? '' : `, by the sidecar of ${shortName(by)}`}.${meaning}`];
}

function statusOf({ hop }: SideReport): string {
  if (hop.grpcStatusPlusOne > 0) return `, gRPC status ${hop.grpcStatusPlusOne - 1}`;
  return hop.httpStatus > 0 ? `, status ${hop.httpStatus}` : '';
}

function why({ view, decidedThen, losses }: CallAccount): string[] {
  const { exit, policies } = view.main.hop;
  if (exit !== '') {
    const named = policies.map(printable).join(', ');
    return [named === '' ? 'No policy came into it.' : `Decided for the exit ${printable(exit)} by policy ${named}.`];
  }
  if (decidedThen === null) return ['Policy was not asked: the call was judged before that.'];
  if (!decidedThen.snapshotKnown)
    return [`The collector no longer keeps snapshot ${decidedThen.snapshotNumber}, so it cannot decide again.`];
  const recorded = codeOf(view);
  const decided = decidedThen.decision?.code ?? '';
  const differs =
    decided === recorded
      ? []
      : [
          `Decided again under that snapshot it is ${decided === '' ? 'allowed' : decided}, not ${recorded === '' ? 'allowed' : recorded}: look into it.`,
        ];
  return [...reasonOf(decidedThen), ...losses.map(({ words }) => words), ...differs];
}

function reasonOf(explained: ExplainResponse): string[] {
  const policies = explained.policies.map(
    ({ id, effect, owner, reason }) =>
      `Policy ${printable(id)} ${effect === 'permit' ? 'permits' : 'forbids'} it${ownerWords(owner, reason)}.`,
  );
  const { decision } = explained;
  const needs =
    explained.neededScopes.length === 0
      ? 'The route needs no scope.'
      : `The route needs ${scopesOf(explained.neededScopes)}.`;
  switch (decision?.code ?? '') {
    case '':
      return [needs, ...policies];
    case 'insufficient_scope':
      return [`${needs} Missing: ${scopesOf(explained.missingScopes)}.`];
    case 'policy_denied':
      if (!explained.hasEdge && policies.length === 0)
        return [`Policy has no edge ${name(explained.caller)} → ${name(explained.service)}${ownersOfBoth(explained)}.`];
      return policies.length > 0 ? policies : [`No policy permits it${ownersOfBoth(explained)}.`];
    case 'route_unknown':
      return [`The snapshot has no such route of ${name(explained.service)}${ownersOfBoth(explained)}.`];
    default:
      return [printable(explained.why)];
  }
}

function ownersOfBoth({ service, caller }: ExplainResponse): string {
  const owners = [service, caller].flatMap((thing) =>
    thing === null || thing.owner === '' ? [] : [`${shortName(thing.id)} is of ${printable(thing.owner)}`],
  );
  return owners.length === 0 ? '' : ` (${[...new Set(owners)].join(', ')})`;
}

function ownerWords(owner: string, reason: string): string {
  if (owner === '' && reason === '') return '';
  return ` (${[owner === '' ? '' : `of ${printable(owner)}`, printable(reason)].filter((part) => part !== '').join(': ')})`;
}

function name(thing: OwnedThing | null): string {
  return thing === null ? '?' : shortName(thing.id);
}

function again({ decidedNow, decidedThen }: CallAccount): string[] {
  if (decidedNow?.snapshotKnown !== true || decidedThen === null) return [];
  const code = decidedNow.decision?.code ?? '';
  return [
    `Under the snapshot in force now, ${decidedNow.snapshotNumber}, it would be ${code === '' ? 'allowed' : code}.`,
  ];
}

function consentAndRevocations({ consent, view, revocations }: CallAccount): string[] {
  const { personal } = view.main.hop;
  const lines: string[] = [];
  if (consent !== null) {
    const used = personal?.consentVersion ?? 0;
    const changed = consent.version === used ? '' : `; the call ran on version ${used}`;
    lines.push(
      `Consent ${printable(consent.id)} is ${printable(consent.state)}, version ${consent.version}${changed}: ${scopesOf(consent.scopes)}, until ${utc(consent.untilS)}.`,
    );
  }
  for (const { kind, value, timeUs, by, reason } of revocations) {
    lines.push(
      `Revoked: ${printable(kind)} ${printable(value)}, at ${instant(timeUs).slice(0, 19)} UTC, by ${printable(by)}${reason === '' ? '' : `: ${printable(reason)}`}.`,
    );
  }
  return lines;
}

function state({ view }: CallAccount): string {
  const { snapshotNumber, authorityEntry, caEntry, skewMs } = view.main.hop;
  const skew =
    Math.abs(skewMs) < SKEW_SHOWN_MS
      ? ''
      : `; the peer’s clock was ${duration(Math.abs(skewMs) * 1000)} ${skewMs > 0 ? 'ahead' : 'behind'}`;
  if (snapshotNumber === 0) return `Judged before any policy snapshot was looked at${skew}.`;
  return `Judged under snapshot ${snapshotNumber}, live state of the authority through ${authorityEntry}, of the CA through ${caEntry}${skew}.`;
}

function otherSide(view: HopView): string[] {
  if (sideOf(view, 'SIDE_ENTRY') !== null) return ['There is one side only: the request came from outside the mesh.'];
  if (sideOf(view, 'SIDE_EXIT') !== null) return ['There is one side only: the call went outside the mesh.'];
  const [caller, callee] = [sideOf(view, 'SIDE_CALLER'), sideOf(view, 'SIDE_CALLEE')];
  if (caller === null)
    return [`${shortName(view.main.hop.caller)} has not told of its side: a finding, if it stays so.`];
  if (callee === null) {
    const { code } = caller.hop;
    return code === '' || caller.hop.refusedBy !== caller.reporter
      ? [`${shortName(caller.hop.callee)} has not told of its side: a finding, if it stays so.`]
      : [`The call never left ${shortName(caller.hop.caller)}, so there is no other side.`];
  }
  const differences = [
    ...(caller.hop.code === callee.hop.code
      ? []
      : [`code ${caller.hop.code || 'none'} against ${callee.hop.code || 'none'}`]),
    ...(caller.hop.scope === callee.hop.scope ? [] : [`scope "${caller.hop.scope}" against "${callee.hop.scope}"`]),
    ...(caller.hop.chainId.equals(callee.hop.chainId) || callee.hop.chainId.length === 0 ? [] : ['another chain']),
  ];
  if (differences.length === 0) return ['Both sides tell the same.'];
  return [
    `The sides differ, ${shortName(caller.reporter)} against ${shortName(callee.reporter)}: ${printable(differences.join('; '))}.`,
  ];
}

function whatToDo({ view, losses }: CallAccount): string[] {
  const code = codeOf(view);
  if (!isErrorCode(code)) return [];
  const hints: Record<string, string> = {
    consent: 'Have the user grant it.',
    entry_route: 'If the request should be able to do this, add it to the `passes` of that entry route.',
    entry_ceiling: 'If that entry should obtain it, raise its ceiling in the policy.',
    link: 'If it should get that far, widen `narrowTo` of that edge, or have the app ask for more in `Delegation-Scope`.',
    own: 'Give the workload that scope on this edge (`own`), or have its app pass on the context of the request.',
  };
  const more = [...new Set(losses.flatMap(({ at }) => (hints[at] === undefined ? [] : [hints[at]])))];
  return [ERROR_TABLE[code].action, ...more];
}
