/**
 * The shapes in which the steps of a call see HTTP (RFC 9110), whatever carried it: HTTP/1.1 and HTTP/2 look alike here.
 * Owns no parsing; `wire/` makes these and sends them.
 */

/** Field names (lower case) and values, one after the other: name, value, name, value … in order of arrival. */
export type HeaderList = readonly string[];

/** A request's head. All of it is chosen by the other side. */
export interface RequestHead {
  readonly method: string;
  /** Origin-form target: path and query. */
  readonly target: string;
  /** `Host` or `:authority`, lower case, as sent; empty where there is none. */
  readonly authority: string;
  /** Without pseudo-header fields. */
  readonly headers: HeaderList;
  /** `websocket`: the call asks for a stream of both sides' bytes, and 101 grants it, whatever carried it. */
  readonly protocol: 'http/1.1' | 'h2' | 'grpc' | 'websocket';
}

/** An answer's head. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: HeaderList;
}

/** The only value of a field; null where it is absent. Of several it gives the first: callers that care count. */
export function fieldOf(headers: HeaderList, name: string): string | null {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1] as string;
  return null;
}

/** How often a field occurs. */
export function countOf(headers: HeaderList, name: string): number {
  let count = 0;
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) count += 1;
  return count;
}

/** The path of a target, without its query. */
export function pathOfTarget(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}
