/** A registered workload without a sidecar: attests with a join token of its own and holds its SVID and WIT in this process. */
import { randomBytes } from 'node:crypto';
import { createHopMinter, formatHop, mintLink, type VerifiedRoot, verifyRoot } from '../../../delegation/index.ts';
import { BehalfError, isErrorCode } from '../../../errors/index.ts';
import { DEFAULT_CLOCK_RULE, type SpiffeId } from '../../../identity/index.ts';
import { connectService, errorOfCall } from '../../../identity/mtls/index.ts';
import { openIdentity } from '../../../identity/own/index.ts';
import type { OwnIdentity } from '../../../identity/own/own-identity.ts';
import { type ExchangeResponse, tokenExchange } from '../../../proto/behalf/authority/v1/authority.ts';
import type { Stage } from '../stage.ts';

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const EXCHANGE_TIMEOUT_MS = 5_000;

type MeshAndLog = Pick<Stage, 'mesh' | 'log'>;

/** Attests. */
export async function attestWorkload({ mesh, log }: MeshAndLog, name: string, id: SpiffeId): Promise<OwnIdentity> {
  const joinTokenFile = await mesh.joinTokenFor(name, id);
  const { ca, bundleFile } = mesh.file;
  return openIdentity({
    trust: { caAddress: ca.address, bundleFile, attest: { joinTokenFile } },
    dataDir: mesh.dir.folder('workloads', name),
    log,
    signal: new AbortController().signal,
  });
}

/**
 * Exchanges a user's access token for a root, as an entry sidecar does.
 * @throws {BehalfError} the code with which the authority refuses
 */
export async function exchangeToken(
  { mesh, log }: MeshAndLog,
  identity: OwnIdentity,
  accessToken: string,
  scope: string,
  authorizationDetails = '',
): Promise<VerifiedRoot> {
  const { id, address } = mesh.file.authority!;
  const client = connectService(tokenExchange, { address, identity, expect: id, log });
  try {
    const stream = client.exchange({ deadlineMs: EXCHANGE_TIMEOUT_MS });
    const answered = new Promise<ExchangeResponse>((resolve, reject) => {
      stream.once('data', resolve);
      stream.once('error', (error: unknown) => reject(errorOfCall(error)));
    });
    stream.write({
      id: 1,
      subjectToken: accessToken,
      subjectTokenType: ACCESS_TOKEN,
      scope,
      authorizationDetails,
    });
    const { issued, refusal } = await answered;
    stream.end();
    if (!issued) {
      const code = refusal?.code ?? '';
      throw new BehalfError(isErrorCode(code) ? code : 'internal', { by: 'authority' });
    }
    return readRoot(identity, issued.txnToken);
  } finally {
    client.close();
  }
}

/** The three headers of a chain of one link to `to`, signed with the workload's own key. */
export function chainHeaders(identity: OwnIdentity, root: VerifiedRoot, to: SpiffeId): Record<string, string> {
  const chain = mintLink({
    parent: root,
    to,
    signer: identity.current(),
    nowS: Date.now() / 1000,
    jti: randomBytes(12),
  });
  return {
    'txn-token': chain.txnToken,
    'delegation-chain': chain.delegationChain,
    'delegation-credentials': chain.delegationCredentials,
  };
}

/** Makes a `Delegation-Hop` a call, and says its hop id. */
export function createHops(): () => { readonly header: string; readonly hopId: Buffer } {
  const minter = createHopMinter(randomBytes(6));
  return () => {
    const hop = minter.next();
    return {
      header: formatHop({ hop, parent: null, request: randomBytes(12).toString('base64url') }),
      hopId: Buffer.from(hop, 'base64url'),
    };
  };
}

function readRoot(identity: OwnIdentity, txnToken: string): VerifiedRoot {
  const bundle = identity.bundle();
  return verifyRoot(txnToken, {
    me: identity.spiffeId,
    nowS: Date.now() / 1000,
    clock: DEFAULT_CLOCK_RULE,
    trustDomain: bundle.trustDomain,
    issuer: bundle.issuer,
    audience: `spiffe://${bundle.trustDomain}/behalf/delegation`,
    rootKey: (kid) => bundle.rootKeys.get(kid) ?? null,
    // A probe that held itself to the live state could not show that the other end does.
    revoked: () => null,
    fresh: () => {},
  });
}
