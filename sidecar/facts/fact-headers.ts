/**
 * What the sidecar tells its app about a request's delegation (DESIGN section 4): header fields to read, and the handle to
 * pass on. They follow `stripMeshHeaders`, so that what an app reads under these names is always the sidecar's word.
 */
import { BehalfError } from '../../errors/index.ts';
import type { InboundContext } from '../call/context/inbound-context.ts';

/**
 * The fields for the app, as a flat list: `delegation-subject`, `-scopes` (separated by spaces, may be empty), `-client` (if
 * there is one), `-trace-link` (at an entry: the trace outside), `-actors` (SPIFFE IDs from `req_wl` to the peer, joined by `, `), `-context`, and `baggage` with our `dlg`
 * before the app's own members. `baggage` is what `stripBaggage` left of the request's own.
 * @throws {BehalfError} `delegation_malformed` if a claim holds what cannot stand in a header field
 */
export function factHeaders(inbound: InboundContext, handle: string, baggage: string | null): string[] {
  const { sub, scope, clientId, actors } = inbound.delegation;
  const facts = ['delegation-subject', fieldText(sub, 'sub'), 'delegation-scopes', fieldText(scope.join(' '), 'scope')];
  if (clientId !== null) facts.push('delegation-client', fieldText(clientId, 'client_id'));
  if (actors.length > 0) facts.push('delegation-actors', actors.join(', '));
  if (inbound.traceLink !== null) facts.push('delegation-trace-link', inbound.traceLink);
  facts.push('delegation-context', handle);
  facts.push('baggage', baggage === null ? `dlg=${handle}` : `dlg=${handle},${baggage}`);
  return facts;
}

/** Signed claims come from the authority, but JSON strings may hold what would break a head (RFC 9110 section 5.5). */
function fieldText(text: string, claim: string): string {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code > 0x7e) throw new BehalfError('delegation_malformed', { claim });
  }
  return text;
}
