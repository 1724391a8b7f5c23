/**
 * `Delegation-Deferred` on a call of the own app: the call takes up work that was put off (WIRE section 6) and runs on a root of its
 * grant. It says by itself whose work it is, so that no other carrier may stand beside it; a trace id, which apps pass on without
 * meaning anything by it, is not read then.
 */
import type { VerifiedRoot } from '../../../delegation/index.ts';
import { BehalfError } from '../../../errors/index.ts';
import { dlgValues, isSpelledLike } from '../../facts/index.ts';
import { isReference } from '../entry/credentials.ts';
import type { CallEnvironment } from '../environment.ts';
import type { HeaderList } from '../head.ts';

const FIELD = 'delegation-deferred';

/**
 * The reference that the call names, or null. UNTRUSTED.
 * @throws {BehalfError} `context_ambiguous` for more than one, or one beside another carrier; `request_malformed` for another spelling
 *   of the name (which would be taken out unread); `deferred_unknown` for what is no reference
 */
export function readReference(headers: HeaderList): string | null {
  let reference: string | null = null;
  let others = false;
  for (let i = 0; i < headers.length; i += 2) {
    const [name, value] = [headers[i] as string, headers[i + 1] as string];
    if (name === 'delegation-context') others = true;
    else if (name === 'baggage') others ||= dlgValues(value).length > 0;
    else if (isSpelledLike(name, FIELD)) {
      if (name !== FIELD)
        throw new BehalfError('request_malformed', { object: FIELD, why: 'another spelling of the name' });
      if (reference !== null) throw new BehalfError('context_ambiguous', { why: 'Delegation-Deferred is repeated' });
      reference = value;
    }
  }
  if (reference === null) return null;
  if (others) throw new BehalfError('context_ambiguous', { why: 'Delegation-Deferred beside another carrier' });
  if (!isReference(reference)) throw new BehalfError('deferred_unknown', { why: 'no reference' });
  return reference;
}

/** The root that the call runs on: one use, which later calls with the same reference share for as long as the root lives. */
export async function resumedRoot(
  { roots }: CallEnvironment,
  reference: string,
  fresh: boolean,
): Promise<VerifiedRoot> {
  return await roots.forCredential({ kind: 'deferred', reference }, { scopes: null, fresh });
}
