/** Chain bodies as they are kept: sealed under the key of the person that their root names. */
import type { ChainBody } from '../../proto/behalf/audit/v1/audit.ts';

/** Whose key seals a chain whose root does not say whom it is about. */
const NOBODY = 'behalf:unknown';
const MAX_SUBJECT_CHARACTERS = 255;

/** JSON, so that a body can be read without this program once its key is known. */
export function encodeChainBody({ txnToken, delegationChain, delegationCredentials }: ChainBody): Buffer {
  return Buffer.from(JSON.stringify({ txnToken, delegationChain, delegationCredentials }));
}

/** Reads what `encodeChainBody` wrote. */
export function decodeChainBody(chainId: Buffer, body: Buffer): ChainBody {
  const { txnToken, delegationChain, delegationCredentials } = JSON.parse(body.toString()) as Omit<
    ChainBody,
    'chainId'
  >;
  return { chainId, txnToken, delegationChain, delegationCredentials };
}

/**
 * The `sub` of the root. UNTRUSTED: the reporter verified the chain, the collector does not; a wrong one chooses another key to
 * seal under and nothing else.
 */
export function subjectOfChain({ txnToken }: ChainBody): string {
  try {
    const payload = JSON.parse(Buffer.from(txnToken.split('.')[1] ?? '', 'base64url').toString()) as unknown;
    const sub = typeof payload === 'object' && payload !== null && 'sub' in payload ? payload.sub : null;
    return typeof sub === 'string' && sub !== '' && sub.length <= MAX_SUBJECT_CHARACTERS ? sub : NOBODY;
  } catch {
    return NOBODY;
  }
}
