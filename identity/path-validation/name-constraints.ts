/** Name constraints (RFC 5280 section 4.2.1.10) for what SVIDs have: URI names. */
import { type DecodedCertificate, NAME_KIND, type Name, type NameConstraints } from './decode-certificate.ts';
import { svidInvalid } from './svid-invalid.ts';

/**
 * Checks every name of a certificate against the constraints of one certificate above it. Names of kinds other than URI that
 * a constraint speaks about are refused, since this code cannot judge them (RFC 5280: process or reject).
 * @throws {BehalfError} `svid_invalid` with rule `name_constraints`
 */
export function checkNameConstraints(
  certificate: DecodedCertificate,
  place: string,
  constraints: NameConstraints,
): void {
  const names = certificate.subjectIsEmpty
    ? certificate.names
    : [...certificate.names, { kind: NAME_KIND.directory, text: '' }];
  for (const name of names) {
    const permitted = constraints.permitted.filter((constraint) => constraint.kind === name.kind);
    const excluded = constraints.excluded.filter((constraint) => constraint.kind === name.kind);
    if (permitted.length === 0 && excluded.length === 0) continue;
    if (name.kind !== NAME_KIND.uri) {
      throw svidInvalid('name_constraints', place, `constraints on names of kind ${name.kind} are not supported`);
    }
    const host = hostOf(name.text);
    if (host === null) throw svidInvalid('name_constraints', place, 'a constrained URI has no host');
    if (permitted.length > 0 && !permitted.some((constraint) => hostFits(host, constraint))) {
      throw svidInvalid('name_constraints', place, `\`${host}\` is not permitted`);
    }
    if (excluded.some((constraint) => hostFits(host, constraint))) {
      throw svidInvalid('name_constraints', place, `\`${host}\` is excluded`);
    }
  }
}

/** `host` means that host alone, `.domain` every host below it. */
function hostFits(host: string, constraint: Name): boolean {
  const wanted = constraint.text.toLowerCase();
  return wanted.startsWith('.') ? host.endsWith(wanted) && host.length > wanted.length : host === wanted;
}

function hostOf(uri: string): string | null {
  const start = uri.indexOf('://');
  if (start <= 0) return null;
  const rest = uri.slice(start + 3);
  const authority = rest.slice(0, indexOrEnd(rest, '/'));
  // User information and ports do not occur in SPIFFE IDs; with them the host would be another one than it seems.
  if (authority === '' || authority.includes('@') || authority.includes(':')) return null;
  return authority.toLowerCase();
}

function indexOrEnd(text: string, part: string): number {
  const index = text.indexOf(part);
  return index === -1 ? text.length : index;
}
