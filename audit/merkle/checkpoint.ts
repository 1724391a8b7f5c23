/** C2SP tlog-checkpoint: origin, size and root of a log, one a line, in a signed note. */
import { BehalfError } from '../../errors/index.ts';
import { type NoteSigner, type NoteVerifier, openNote, signNote } from './signed-note.ts';
import { HASH_BYTES } from './tree-hash.ts';

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;

/** A checkpoint signed under the log's origin. */
export function signCheckpoint(size: number, root: Buffer, signer: NoteSigner): string {
  return signNote(`${signer.name}\n${size}\n${root.toString('base64')}\n`, signer);
}

/**
 * Takes a checkpoint that the log's key signed. Extension lines are allowed and ignored, as the specification says.
 * @throws {BehalfError} `statement_untrusted` for its signature, `log_inconsistent` for its form or another log's origin
 */
export function openCheckpoint(note: string, verifier: NoteVerifier): Checkpoint {
  const [origin = '', size = '', base64 = ''] = openNote(note, [verifier]).split('\n');
  const root = Buffer.from(base64, 'base64');
  const wellFormed =
    DECIMAL.test(size) &&
    Number.isSafeInteger(Number(size)) &&
    root.length === HASH_BYTES &&
    root.toString('base64') === base64;
  if (!wellFormed) throw new BehalfError('log_inconsistent', { why: 'malformed checkpoint' });
  if (origin !== verifier.name) throw new BehalfError('log_inconsistent', { why: 'checkpoint of another log', origin });
  return { origin, size: Number(size), root };
}
