/**
 * The blast radius as a picture: services in columns by how far they are from outside, an arrow for each edge that was used, what
 * is contained in red. A service's box says how many hops and users reached it, an arrow how many calls went that way.
 */
import { count, instant, shortName } from '../draw/words.ts';
import type { BlastRadius, EdgeReach } from './radius.ts';
import { type SvgNode, svg, writeSvg } from './svg.ts';
import type { Target } from './target.ts';

const BOX = { width: 180, height: 56 };
const GAP = { x: 110, y: 28 };
const MARGIN = 32;
const HEAD_HEIGHT = 64;
const FONT = 'system-ui, sans-serif';
const INK = '#1c1e21';
const FADED = '#5b6168';
const HOT = '#b3261e';

interface Place {
  readonly id: string;
  readonly x: number;
  readonly y: number;
}

/** The document. */
export function radiusSvg(target: Target, radius: BlastRadius): string {
  const places = layOut(radius.edges);
  const width = Math.max(420, ...[...places.values()].map(({ x }) => x + BOX.width)) + MARGIN;
  const height = Math.max(HEAD_HEIGHT, ...[...places.values()].map(({ y }) => y + BOX.height)) + MARGIN;
  return writeSvg(
    svg(
      'svg',
      { xmlns: 'http://www.w3.org/2000/svg', width, height, viewBox: `0 0 ${width} ${height}`, 'font-family': FONT },
      svg('title', {}, `Blast radius of ${target.kind} ${target.label}`),
      svg(
        'defs',
        {},
        svg(
          'marker',
          {
            id: 'tip',
            viewBox: '0 0 10 10',
            refX: 10,
            refY: 5,
            markerWidth: 8,
            markerHeight: 8,
            orient: 'auto-start-reverse',
          },
          svg('path', { d: 'M0 0 L10 5 L0 10 z', fill: FADED }),
        ),
      ),
      svg('rect', { width, height, fill: '#ffffff' }),
      ...heading(target, radius),
      ...radius.edges.map((edge) => arrow(edge, places)),
      ...[...places.values()].map((place) => box(place, target, radius)),
    ),
  );
}

function heading(target: Target, radius: BlastRadius): SvgNode[] {
  const { hops, refused, users, sinceUs, untilUs } = radius;
  const facts = `${count(hops, 'hop')}, ${refused} refused, ${count(users.length, 'user')}`;
  const when = `${instant(sinceUs).slice(0, 19)} to ${instant(untilUs).slice(0, 19)} UTC`;
  return [
    words(MARGIN, 30, `${target.kind} ${target.label}`, { 'font-size': 16, 'font-weight': 'bold', fill: INK }),
    words(MARGIN, 50, `${facts}, ${when}`, { 'font-size': 12, fill: FADED }),
  ];
}

function box({ id, x, y }: Place, target: Target, radius: BlastRadius): SvgNode {
  const reached = radius.services.find(({ service }) => service === id);
  const isTarget = target.kind === 'workload' && target.value === id;
  const says =
    reached === undefined ? '' : `${count(reached.hops, 'hop')}${id === '' ? '' : `, ${count(reached.users, 'user')}`}`;
  return svg(
    'g',
    {},
    svg('title', {}, id === '' ? 'outside the mesh' : id),
    svg('rect', {
      x,
      y,
      width: BOX.width,
      height: BOX.height,
      rx: 8,
      fill: isTarget ? '#fdecea' : '#f4f6f8',
      stroke: isTarget ? HOT : FADED,
      'stroke-width': isTarget ? 2 : 1,
    }),
    words(x + 12, y + 24, shortName(id), { 'font-size': 14, 'font-weight': 'bold', fill: isTarget ? HOT : INK }),
    words(x + 12, y + 43, says, { 'font-size': 12, fill: FADED }),
  );
}

function arrow({ from, to, hops, refused }: EdgeReach, places: ReadonlyMap<string, Place>): SvgNode {
  const a = places.get(from) as Place;
  const b = places.get(to) as Place;
  const forwards = b.x > a.x;
  const [x1, y1] = [a.x + (forwards ? BOX.width : BOX.width / 2), a.y + (forwards ? BOX.height / 2 : BOX.height)];
  const [x2, y2] = [forwards ? b.x : b.x + BOX.width / 2, b.y + (forwards ? BOX.height / 2 : BOX.height)];
  const bend = forwards
    ? `C${x1 + GAP.x / 2} ${y1} ${x2 - GAP.x / 2} ${y2}`
    : `C${x1} ${y1 + GAP.y} ${x2} ${y2 + GAP.y}`;
  const colour = refused === hops ? HOT : FADED;
  return svg(
    'g',
    {},
    svg('title', {}, `${shortName(from)} to ${shortName(to)}: ${count(hops, 'hop')}, ${refused} refused`),
    svg('path', {
      d: `M${x1} ${y1} ${bend} ${x2} ${y2}`,
      fill: 'none',
      stroke: colour,
      'stroke-width': Math.min(6, 1 + Math.log10(hops + 1)),
      ...(refused === hops ? { 'stroke-dasharray': '5 4' } : {}),
      'marker-end': 'url(#tip)',
    }),
    words((x1 + x2) / 2 - 10, (y1 + y2) / 2 - 6, refused === 0 ? String(hops) : `${hops} (${refused} refused)`, {
      'font-size': 11,
      fill: colour,
    }),
  );
}

function words(x: number, y: number, text: string, look: Readonly<Record<string, string | number>>): SvgNode {
  return svg('text', { x, y, ...look }, text);
}

/** A column for each distance from outside, or from a workload that nobody called; the shortest way counts. */
function layOut(edges: readonly EdgeReach[]): Map<string, Place> {
  const ids = [...new Set(edges.flatMap(({ from, to }) => [from, to]))].sort();
  const called = new Set(edges.filter(({ from, to }) => from !== to).map(({ to }) => to));
  const distance = new Map<string, number>();
  let frontier = ids.filter((id) => !called.has(id));
  // Where all call each other there is no first: any is.
  if (frontier.length === 0) frontier = ids.slice(0, 1);
  for (let depth = 0; frontier.length > 0; depth += 1) {
    for (const id of frontier) distance.set(id, depth);
    const next = edges.filter(({ from, to }) => frontier.includes(from) && !distance.has(to)).map(({ to }) => to);
    frontier = [...new Set(next)];
    const left = ids.find((id) => !distance.has(id));
    if (frontier.length === 0 && left !== undefined) frontier = [left];
  }
  const rows = new Map<number, number>();
  return new Map(
    ids.map((id) => {
      const column = distance.get(id) ?? 0;
      const row = rows.get(column) ?? 0;
      rows.set(column, row + 1);
      const x = MARGIN + column * (BOX.width + GAP.x);
      const y = MARGIN + HEAD_HEIGHT + row * (BOX.height + GAP.y);
      return [id, { id, x, y }];
    }),
  );
}
