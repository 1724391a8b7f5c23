/** Draws a user request for a person: who called whom, when, what was left of the scope, what was decided, who proved what. */
import type { Hop, Personal } from '../../proto/behalf/audit/v1/audit.ts';
import { printable, type Style } from '../draw/style.ts';
import { drawTree, type TreeNode } from '../draw/tree.ts';
import { count, duration, instant, shortName } from '../draw/words.ts';
import { codeOfHop, type HopView, isRefused, type RequestView, sideOf, startUs, text } from './hop-view.ts';

/** Far deeper than a chain may be; a bound on what a hostile reporter can make us draw. */
const MAX_DRAWN_DEPTH = 32;

/** How a user's pseudonym is shown: with the account's name where the authority knows it. */
export type NameSubject = (subject: string) => string;

/** The lines of one request. */
export function drawRequest(request: RequestView, style: Style, nameSubject: NameSubject): string[] {
  const first = request.hops[0]!;
  const refused = request.hops.filter(isRefused).length;
  const { personal } = (request.hops.find(({ main }) => main.hop.personal !== null) ?? first).main.hop;
  const facts = [count(request.hops.length, 'hop'), refused === 0 ? 'none refused' : `${refused} refused`];
  return [
    `${style.bold(`request ${request.request}`)}  ${instant(startUs(first))} UTC  ${facts.join(', ')}`,
    onBehalf(personal, style, nameSubject),
    ...(personal?.purpose ? [`purpose: ${printable(personal.purpose)}`] : []),
    ...drawTree(request.roots.map((root) => nodeOf(root, request, startUs(first), style))),
  ];
}

function onBehalf(personal: Personal | null, style: Style, nameSubject: NameSubject): string {
  if (personal === null || personal.subject === '') return 'no delegation was verified';
  const who = style.bold(printable(nameSubject(personal.subject)));
  if (personal.subject.startsWith('spiffe:')) return `on the own authority of ${who}`;
  return `on behalf of ${who}${personal.clientId === '' ? '' : `, through the client ${printable(personal.clientId)}`}`;
}

function nodeOf(view: HopView, request: RequestView, beganUs: number, style: Style, depth = 1): TreeNode {
  const children = request.children.get(view.id) ?? [];
  return {
    lines: linesOf(view, beganUs, style),
    children:
      depth >= MAX_DRAWN_DEPTH && children.length > 0
        ? [{ lines: [style.dim('… deeper calls are not drawn')], children: [] }]
        : children.map((child) => nodeOf(child, request, beganUs, style, depth + 1)),
  };
}

function linesOf(view: HopView, beganUs: number, style: Style): string[] {
  const { hop } = view.main;
  const from = sideOf(view, 'SIDE_ENTRY') !== null ? 'outside' : shortName(hop.caller);
  const route = printable(routeOf(hop));
  const at = startUs(view) === beganUs ? 'at the start' : `after ${duration(startUs(view) - beganUs)}`;
  return [
    `${style.name(from)} → ${style.name(calleeOf(hop))}  ${route}  ${outcomeOf(view, style)}`,
    style.dim(`${at}, took ${duration(Math.max(...view.sides.map((side) => side.hop.durationUs)))}; hop ${view.id}`),
    `scopes left: ${hop.scope === '' ? 'none' : printable(hop.scope)}${hop.carrier === 'own' ? ' (on its own authority)' : ''}`,
    ...(hop.audience === '' ? [] : [tokenOf(hop)]),
    ...view.ends.flatMap(({ end }) =>
      end.code === ''
        ? []
        : [style.bad(`ended while it ran: ${printable(end.code)} after ${duration(end.durationUs)}`)],
    ),
    style.dim(`certificates: ${serialsOf(view)}`),
    style.dim(decidedBy(view)),
  ];
}

/** Who called whom, what and when, on one line. */
export function headlineOf(view: HopView): string {
  const { hop } = view.main;
  const from = sideOf(view, 'SIDE_ENTRY') === null ? shortName(hop.caller) : 'outside';
  return `${from} → ${calleeOf(hop)}  ${printable(routeOf(hop))}  ${instant(startUs(view))} UTC`;
}

/** Who was called: a service, or a destination outside the mesh by its name in the policy. */
function calleeOf({ callee, exit }: Hop): string {
  return exit === '' ? shortName(callee) : `${printable(exit)} (outside)`;
}

/** What of ours a call to the outside carried. */
export function tokenOf({ audience, tokenJti }: Hop): string {
  const which = tokenJti === '' ? 'none was made' : printable(tokenJti);
  return `token for ${printable(audience)}: ${which}`;
}

/** Method as called and the template; the route's own name begins with its method, which may be `*`. */
export function routeOf({ method, route }: Hop): string {
  const space = route.indexOf(' ');
  return `${method} ${space < 0 ? route : route.slice(space + 1)}`.trim();
}

function outcomeOf(view: HopView, style: Style): string {
  const refusing = view.sides.find(({ hop }) => hop.outcome === 'OUTCOME_REFUSED');
  if (refusing !== undefined) {
    const { code, refusedBy } = refusing.hop;
    return style.bad(
      `refused: ${printable(code)}${refusedBy === '' ? '' : ` by the sidecar of ${shortName(refusedBy)}`}`,
    );
  }
  const failed = view.sides.find(({ hop }) => hop.outcome === 'OUTCOME_FAILED' || hop.outcome === 'OUTCOME_UNKNOWN');
  if (failed !== undefined)
    return style.bad(
      failed.hop.outcome === 'OUTCOME_UNKNOWN'
        ? 'outcome unknown: the sidecar died'
        : `failed: ${printable(failed.hop.code)}`,
    );
  const { httpStatus, grpcStatusPlusOne } = view.main.hop;
  return style.good(
    `allowed${grpcStatusPlusOne > 0 ? `, gRPC status ${grpcStatusPlusOne - 1}` : httpStatus > 0 ? `, status ${httpStatus}` : ''}`,
  );
}

function serialsOf(view: HopView): string {
  const callee = sideOf(view, 'SIDE_CALLEE')?.hop;
  const caller = sideOf(view, 'SIDE_CALLER')?.hop;
  const [callerSerial, calleeSerial] = [
    caller?.ownSerial ?? callee?.peerSerial,
    callee?.ownSerial ?? caller?.peerSerial,
  ];
  const shown = (serial: Buffer | undefined): string =>
    serial === undefined || serial.length === 0 ? 'none' : shortSerial(serial);
  if (caller === undefined && callee === undefined) return 'none: the request came from outside';
  return `caller ${shown(callerSerial)}, callee ${shown(calleeSerial)}`;
}

function decidedBy({ main, sides }: HopView): string {
  const { policies, snapshotNumber } = main.hop;
  const by = policies.length === 0 ? '' : `policy ${policies.map(printable).join(' ')} of `;
  return `${by}snapshot ${snapshotNumber}; reported by ${sides.map(({ reporter }) => shortName(reporter)).join(' and ')}`;
}

/** Enough of a serial number to tell certificates apart. */
export function shortSerial(serial: Buffer): string {
  const hex = serial.toString('hex');
  return hex.length <= 12 ? hex : `${hex.slice(0, 12)}…`;
}

/** A call as JSON, for programs. */
export function hopJson(view: HopView): object {
  const { hop } = view.main;
  return {
    hop: view.id,
    parent: view.parent,
    request: view.request,
    startUs: startUs(view),
    caller: hop.caller,
    callee: hop.callee,
    method: hop.method,
    route: hop.route,
    refused: isRefused(view),
    code: codeOfHop(view),
    refusedBy: view.sides.map((side) => side.hop.refusedBy).find((by) => by !== '') ?? null,
    scope: hop.scope,
    depth: hop.depth,
    txn: hop.txn,
    chain: text(hop.chainId),
    carrier: hop.carrier,
    trace: hop.traceId.length === 0 ? null : hop.traceId.toString('hex'),
    outsideTrace: hop.outsideTraceId.length === 0 ? null : hop.outsideTraceId.toString('hex'),
    subject: hop.personal?.subject ?? null,
    client: hop.personal?.clientId ?? null,
    consent: hop.personal?.consentId ?? null,
    purpose: hop.personal?.purpose ?? null,
    sides: view.sides.map((side) => ({
      side: side.hop.side.replace('SIDE_', '').toLowerCase(),
      reporter: side.reporter,
      index: side.index,
      outcome: side.hop.outcome.replace('OUTCOME_', '').toLowerCase(),
      code: side.hop.code === '' ? null : side.hop.code,
      httpStatus: side.hop.httpStatus,
      grpcStatus: side.hop.grpcStatusPlusOne > 0 ? side.hop.grpcStatusPlusOne - 1 : null,
      durationUs: side.hop.durationUs,
      ownSerial: side.hop.ownSerial.toString('hex'),
      peerSerial: side.hop.peerSerial.toString('hex'),
      policies: side.hop.policies,
      snapshot: side.hop.snapshotNumber,
    })),
    ends: view.ends.map(({ index, reporter, end }) => ({
      index,
      reporter,
      outcome: end.outcome.replace('OUTCOME_', '').toLowerCase(),
      code: end.code === '' ? null : end.code,
    })),
  };
}
