/** The snapshot as a signed statement (DESIGN section 6). The policy key may be offline; whoever relays only carries bytes. */
import { BehalfError } from '../../errors/index.ts';
import { type SignedStatement, type StatementKey, signStatement, verifyStatement } from '../../identity/index.ts';
import { MAX_SNAPSHOT_BYTES, parseSnapshot } from './parse-snapshot.ts';
import { invalid } from './read-json.ts';
import type { PolicySnapshot } from './snapshot.ts';

/**
 * Signs a snapshot.
 * @throws {BehalfError} `snapshot_invalid` where it is larger than one message takes
 */
export function signSnapshot(snapshot: PolicySnapshot, by: StatementKey): SignedStatement {
  const payload = Buffer.from(JSON.stringify(snapshot), 'utf8');
  if (payload.length > MAX_SNAPSHOT_BYTES) throw invalid('', `larger than ${MAX_SNAPSHOT_BYTES} bytes`);
  return signStatement('snapshot', payload, by);
}

/**
 * The snapshot of a statement that one of the policy keys signed.
 * @throws {BehalfError} `statement_untrusted`, `snapshot_invalid`
 */
export function verifySnapshot(statement: SignedStatement, policyKeys: readonly StatementKey[]): PolicySnapshot {
  if (statement.payload.length > MAX_SNAPSHOT_BYTES) throw invalid('', `larger than ${MAX_SNAPSHOT_BYTES} bytes`);
  return parseSnapshot(parseJson(verifyStatement('snapshot', statement, policyKeys)));
}

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch (cause) {
    throw new BehalfError('snapshot_invalid', { at: 'document', why: 'not JSON' }, { cause });
  }
}
