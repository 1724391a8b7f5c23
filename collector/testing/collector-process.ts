/**
 * A collector as a process of its own, for tests to kill: gets its data directory, port and credentials from its parent, whose test
 * issuer made them, and prints one line when it serves.
 */
import { createPrivateKey } from 'node:crypto';
import pino from 'pino';
import { parseMeshBundle } from '../../identity/bundle/index.ts';
import { parseSpiffeId, trustDomainOf } from '../../identity/index.ts';
import type { IssuedIdentity, OwnIdentity } from '../../identity/own/own-identity.ts';
import { runCollector } from '../start.ts';

/** What the parent hands over as JSON in the environment. */
interface Given {
  readonly dataDir: string;
  readonly listen: string;
  readonly bundle: unknown;
  readonly issued: Omit<IssuedIdentity, 'witKey'> & { readonly witKeyPem: string };
}

const { dataDir, listen, bundle: document, issued } = JSON.parse(process.env['COLLECTOR'] ?? '') as Given;
const bundle = parseMeshBundle(document);
const spiffeId = parseSpiffeId(issued.spiffeId);
const identity: OwnIdentity = {
  spiffeId,
  trustDomain: trustDomainOf(spiffeId),
  current: () => ({ ...issued, spiffeId, witKey: createPrivateKey(issued.witKeyPem) }),
  bundle: () => bundle,
  onChange: () => () => undefined,
  close: async () => undefined,
};
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' }, pino.destination(2));
const { ready } = await runCollector({ dataDir, listen }, identity, { log, signal: stop.signal });
process.stdout.write(`${JSON.stringify(ready)}\n`);
