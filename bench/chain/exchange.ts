/**
 * The other way to hand authority on: at each of the three hops the caller exchanges the user's access token (RFC 8693) at the
 * authority for a token of its own, and the receiver verifies that. A real authority in this process, over mutual TLS and gRPC on
 * loopback as sidecars use it, so that the processor time has both sides. What a user's own sign-in costs is left out: each
 * user's access token is presented again and again, and the authority remembers nothing of it.
 */
import { createPublicKey } from 'node:crypto';
import pino from 'pino';
import { ACCESS_TOKEN_TYPE } from '../../authority/exchange/exchange.ts';
import { serveExchange } from '../../authority/exchange/serve-exchange.ts';
import { obtainTokens } from '../../authority/headless/index.ts';
import {
  PASSWORD,
  REDIRECT_URI,
  type RunningAuthority,
  runAuthority,
  SCOPES,
  TRUST_DOMAIN,
  testSnapshot,
} from '../../authority/testing/running-authority.ts';
import { DEFAULT_CLOCK_RULE, defaultAudience, type RootContext, verifyRoot } from '../../delegation/index.ts';
import { partId, type SpiffeId } from '../../identity/index.ts';
import { connectService, createGrpcServer } from '../../identity/mtls/index.ts';
import { tokenExchange } from '../../proto/behalf/authority/v1/authority.ts';
import { type ExchangeStream, openExchangeStream } from '../../sidecar/exchange/exchange-stream.ts';
import type { Traffic } from '../harness/rounds.ts';
import { nameOf } from './hops.ts';
import { AT_ONCE, allAtOnce, MANY_HOPS } from './many.ts';

const ACCOUNTS = ['demo', 'second'] as const;

export interface ExchangePerHop {
  readonly contestant: Traffic;
  close(): Promise<void>;
}

interface Caller {
  readonly id: SpiffeId;
  readonly stream: ExchangeStream;
  close(): void;
}

export async function openExchangePerHop(name: string): Promise<ExchangePerHop> {
  const log = pino({ level: 'silent' });
  const running = await runAuthority();
  const authorityId = partId(TRUST_DOMAIN, 'authority');
  const server = createGrpcServer({ identity: await running.ca.issue(authorityId), log });
  server.add(tokenExchange, serveExchange(running.authority, log));
  const address = `127.0.0.1:${await server.listen({ host: '127.0.0.1', port: 0 })}`;
  const callers = await Promise.all(
    Array.from({ length: MANY_HOPS }, async (_, hop): Promise<Caller> => {
      const { identity } = await running.workload(`spiffe://${TRUST_DOMAIN}/${nameOf(hop)}`);
      const client = connectService(tokenExchange, { address, identity, expect: authorityId, log });
      const stream = openExchangeStream(client, log);
      const close = (): void => {
        stream.close();
        client.close();
      };
      return { id: identity.spiffeId, stream, close };
    }),
  );
  allowAllCallers(running, callers);
  const tokens = await Promise.all(ACCOUNTS.map((account) => tokenOf(running, account)));
  const rootKey = createPublicKey(running.keys.root.key);

  const contexts = callers.map(
    ({ id }): RootContext => ({
      me: id,
      nowS: running.nowS(),
      clock: DEFAULT_CLOCK_RULE,
      trustDomain: TRUST_DOMAIN,
      issuer: running.issuer,
      audience: defaultAudience(TRUST_DOMAIN),
      rootKey: (kid) => (kid === running.keys.root.kid ? rootKey : null),
      revoked: () => null,
      fresh: () => undefined,
    }),
  );

  async function request(place: number): Promise<void> {
    const subjectToken = tokens[place % tokens.length]!;
    for (let hop = 0; hop < MANY_HOPS; hop++) {
      const issued = await callers[hop]!.stream.exchange(orderFor(subjectToken));
      const { scope } = verifyRoot(issued, { ...contexts[hop]!, nowS: running.nowS() });
      if (scope.length !== SCOPES.length) throw new Error('the exchange gave another scope');
    }
  }
  return {
    contestant: { name, leastTimes: AT_ONCE, answer: (times) => allAtOnce(times, request) },
    async close() {
      for (const caller of callers) caller.close();
      await server.close();
      await running.close();
    },
  };
}

/** Every hop's caller is registered for what the user granted: else the authority would refuse the exchange. */
function allowAllCallers(running: RunningAuthority, callers: readonly Caller[]): void {
  const about = { owner: 'bench', reason: 'bench:chain', entry_ceiling: SCOPES, own: [] };
  const workloads = Object.fromEntries(callers.map(({ id }, hop) => [id, { name: nameOf(hop), ...about }]));
  running.setSnapshot({ ...testSnapshot(), workloads });
}

async function tokenOf({ issuer }: RunningAuthority, account: string): Promise<string> {
  const { accessToken } = await obtainTokens({
    issuer,
    clientId: 'shop-app',
    redirectUri: REDIRECT_URI,
    account,
    password: PASSWORD,
    scopes: SCOPES,
    purpose: 'order groceries',
    durationS: 3_600,
  });
  return accessToken;
}

function orderFor(subjectToken: string): Parameters<ExchangeStream['exchange']>[0] {
  return {
    subjectToken,
    subjectTokenType: ACCESS_TOKEN_TYPE,
    scope: SCOPES.join(' '),
    authorizationDetails: '',
    purpose: '',
    dpopProof: '',
    dpopMethod: '',
    dpopUri: '',
    ownTo: '',
    clientCertificateS256: '',
  };
}
