/**
 * The one envelope in which the mesh's parts say things that others relay: bundle documents, policy snapshots, live-state
 * entries and heartbeats (DESIGN section 6). `{payload, kid, signature}`, Ed25519 over `behalf-<kind>-v1`, 0x00, payload.
 * The payload is stored and relayed as received; who relays it can neither invent nor change it.
 */
import { type KeyObject, sign, verify } from 'node:crypto';
import { BehalfError } from '../errors/index.ts';

/** What is stated. The kind is part of what is signed, so that one statement never passes for another. */
export type StatementKind = 'mesh-bundle' | 'snapshot' | 'live-state-entry' | 'live-state-heartbeat';

/** A statement as received: nothing is known about it yet. The payload is UTF-8 JSON. */
export interface SignedStatement {
  readonly payload: Buffer;
  readonly kid: string;
  readonly signature: Buffer;
}

/** An Ed25519 key and the name that receivers know it by. */
export interface StatementKey {
  readonly kid: string;
  readonly key: KeyObject;
}

/** Signs a payload as it stands. */
export function signStatement(kind: StatementKind, payload: Buffer, by: StatementKey): SignedStatement {
  return { payload, kid: by.kid, signature: sign(null, signedBytes(kind, payload), by.key) };
}

/**
 * Gives the payload of a statement that one of `keys` signed as that kind.
 * @throws {BehalfError} `statement_untrusted` for an unknown `kid` or a signature that does not verify
 */
export function verifyStatement(
  kind: StatementKind,
  statement: SignedStatement,
  keys: readonly StatementKey[],
): Buffer {
  const known = keys.find((key) => key.kid === statement.kid);
  if (known === undefined)
    throw new BehalfError('statement_untrusted', { kind, kid: statement.kid, why: 'unknown key' });
  if (
    known.key.asymmetricKeyType !== 'ed25519' ||
    !verify(null, signedBytes(kind, statement.payload), known.key, statement.signature)
  ) {
    throw new BehalfError('statement_untrusted', { kind, kid: statement.kid, why: 'signature does not verify' });
  }
  return statement.payload;
}

function signedBytes(kind: StatementKind, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`behalf-${kind}-v1\0`, 'ascii'), payload]);
}
