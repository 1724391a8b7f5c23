/** Folds requests that differ in nothing but ids and times, so that a poll does not hide the rest from a reader. Pure. */
import { codeOfHop, type HopView, isRefused, type RequestView, startUs } from './hop-view.ts';

/** A request, and those right after it that are like it. */
export interface Folded {
  readonly first: RequestView;
  /** In the order of time; empty where it stands alone. */
  readonly more: readonly RequestView[];
}

/** The requests in the order of their beginning, each run of like ones as one. */
export function foldAlike(requests: readonly RequestView[]): Folded[] {
  const inTime = requests.toSorted((a, b) => beganUs(a) - beganUs(b));
  const folded: { readonly first: RequestView; readonly more: RequestView[]; readonly shape: string }[] = [];
  for (const request of inTime) {
    const shape = shapeOf(request);
    const last = folded.at(-1);
    if (last?.shape === shape) last.more.push(request);
    else folded.push({ first: request, more: [], shape });
  }
  return folded;
}

/** When a request began, by its first call. */
export function beganUs({ hops }: RequestView): number {
  return Math.min(...hops.map(startUs));
}

/** Two requests of one shape read the same but for ids, times and certificates. */
function shapeOf({ hops }: RequestView): string {
  const place = new Map(hops.map(({ id }, at) => [id, at]));
  return JSON.stringify(hops.map((view) => [place.get(view.parent ?? '') ?? null, ...factsOf(view)]));
}

function factsOf(view: HopView): readonly unknown[] {
  const { hop } = view.main;
  const { subject = '', clientId = '', purpose = '' } = hop.personal ?? {};
  const sides = view.sides.map(({ hop: { side } }) => side).toSorted();
  const answer = [hop.httpStatus, grpcFailureOf(view), isRefused(view), codeOfHop(view)];
  return [
    hop.caller,
    hop.callee,
    hop.exit,
    hop.audience,
    hop.method,
    hop.route,
    hop.scope,
    subject,
    clientId,
    purpose,
    sides,
    answer,
  ];
}

/** The gRPC status where it is one of failure: whether 0 was known with the head or came later is chance. */
function grpcFailureOf({ main, ends }: HopView): number {
  return Math.max(main.hop.grpcStatusPlusOne, ...ends.map(({ end }) => end.grpcStatusPlusOne), 1) - 1;
}
