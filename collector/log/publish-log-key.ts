/** Telling the mesh the log's key, through the CA's signed bundle. The collector serves meanwhile: nothing waits for it. */
import type { Logger } from 'pino';
import { codeOf } from '../../errors/index.ts';
import { partId } from '../../identity/index.ts';
import { connectService } from '../../identity/mtls/index.ts';
import { createBackOff, type OwnIdentity, waitFor } from '../../identity/own/index.ts';
import { certificateAuthority } from '../../proto/behalf/ca/v1/ca.ts';

const RETRY = { firstMs: 200, maxMs: 10_000 };

/** Publishes the verifier key, trying again until the CA takes it or `signal` aborts. Never rejects. */
export async function publishLogKey(deps: {
  vkey: string;
  caAddress: string;
  identity: OwnIdentity;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { vkey, caAddress, identity, log, signal } = deps;
  const expect = partId(identity.trustDomain, 'ca');
  const client = connectService(certificateAuthority, { address: caAddress, identity, expect, log });
  const backOff = createBackOff(RETRY);
  try {
    while (!signal.aborted) {
      try {
        const { sequence } = await client.publishKeys({ keysJson: JSON.stringify({ log_keys: [vkey] }) });
        log.info({ vkey, sequence }, 'log key published');
        return;
      } catch (error) {
        log.warn({ code: codeOf(error), err: error }, 'log key is not published yet');
        await waitFor(backOff.next(), signal);
      }
    }
  } finally {
    client.close();
  }
}
