/** The blast radius as text for a person: totals, a tree of what was reached, who is affected, and by which way. */
import { printable, type Style } from '../draw/style.ts';
import { drawTree, type TreeNode } from '../draw/tree.ts';
import { count, instant, shortName } from '../draw/words.ts';
import { columns } from '../output.ts';
import type { BlastRadius, EdgeReach, ServiceReach } from './radius.ts';
import type { Target } from './target.ts';

/** Users shown by name; the rest are counted. `--json` has all. */
const MAX_USERS_SHOWN = 50;

/** A pseudonym as it is shown to this operator. */
export type NameSubject = (subject: string) => string;

/** The lines. */
export function drawRadius(target: Target, radius: BlastRadius, style: Style, nameSubject: NameSubject): string[] {
  const since = `since ${instant(radius.sinceUs).slice(0, 19)} UTC`;
  if (radius.hops === 0) return [`${style.bold('Blast radius')}: nothing on record ${since}`];
  return [
    `${style.bold('Blast radius')} ${since}: ${totals(radius)}`,
    ...(radius.complete ? [] : [style.bad('More is on record than could be read: choose a later --since.')]),
    '',
    ...drawTree([rootOf(target, radius, style)]),
    '',
    ...drawEdges(radius.edges),
    ...(radius.users.length === 0 ? [] : ['', ...drawUsers(radius, nameSubject)]),
  ];
}

function totals({ requests, hops, refused, running, users, services, withoutUser }: BlastRadius): string {
  return [
    count(requests, 'request'),
    `${count(hops, 'hop')}${refused === 0 ? '' : ` (${refused} refused)`}`,
    count(users.length, 'user'),
    count(services.length, 'service'),
    ...(running === 0 ? [] : [`${running} without an end on record`]),
    ...(withoutUser === 0 ? [] : [`${withoutUser} without a user`]),
  ].join(', ');
}

function rootOf(target: Target, radius: BlastRadius, style: Style): TreeNode {
  const scopes = radius.scopes.map(({ scope, hops }) => `${printable(scope)} (${hops})`).join(', ');
  return {
    lines: [
      `${style.bold(target.kind)} ${style.name(printable(target.label))}`,
      ...(scopes === '' ? [] : [`scopes used: ${scopes}`]),
    ],
    children: radius.services.map((service) => serviceNode(service, style)),
  };
}

function serviceNode({ service, hops, refused, users, routes }: ServiceReach, style: Style): TreeNode {
  const facts = [count(hops, 'hop'), ...(refused === 0 ? [] : [`${refused} refused`]), count(users, 'user')];
  return {
    lines: [`${style.name(shortName(service))}  ${facts.join(', ')}`],
    children: routes.map((route) => ({
      lines: [
        `${printable(route.route)}  ${[count(route.hops, 'hop'), ...(route.refused === 0 ? [] : [`${route.refused} refused`]), route.scopes.map(printable).join(' ')].filter(Boolean).join(', ')}`,
      ],
      children: [],
    })),
  };
}

function drawEdges(edges: readonly EdgeReach[]): string[] {
  return columns([
    ['FROM', '', 'TO', 'HOPS', 'REFUSED'],
    ...edges.map(({ from, to, hops, refused }) => [shortName(from), '→', shortName(to), String(hops), String(refused)]),
  ]);
}

function drawUsers({ users }: BlastRadius, nameSubject: NameSubject): string[] {
  const shown = users.slice(0, MAX_USERS_SHOWN);
  return [
    ...columns([
      ['USER', 'HOPS', 'REFUSED', 'FIRST (UTC)', 'LAST (UTC)', 'SERVICES', 'SCOPES'],
      ...shown.map(({ subject, hops, refused, firstUs, lastUs, services, scopes }) => [
        printable(nameSubject(subject)),
        String(hops),
        String(refused),
        instant(firstUs).slice(0, 19),
        instant(lastUs).slice(0, 19),
        services.map(shortName).join(' '),
        scopes.map(printable).join(' '),
      ]),
    ]),
    ...(shown.length < users.length ? [`… and ${users.length - shown.length} more; --json shows all`] : []),
  ];
}
