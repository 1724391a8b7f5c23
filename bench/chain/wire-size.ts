/**
 * Bytes that a delegation adds to a request: counted on a real HTTP/2 connection, whose second request of each kind is taken,
 * so that HPACK's tables are in their steady state. The fields are marked never-indexed as the sidecar marks them. TLS records
 * are not in it.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createHopMinter, formatHop, type OutgoingChain } from '../../delegation/index.ts';
import { neverIndexed } from '../../sidecar/wire/http2/never-indexed.ts';
import type { Report } from '../harness/report.ts';
import { type BenchMesh, hopsText } from './hops.ts';

const HOPS = [1, 3, 6, 8] as const;
const PSEUDO = [':method', 'GET', ':scheme', 'https', ':authority', 'orders', ':path', '/orders/17'] as const;

export async function measureWireSize(bench: BenchMesh, report: Report): Promise<void> {
  const server = http2.createServer((_, response) => response.end());
  const accepted = once(server, 'session');
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const [peer] = (await accepted) as [http2.ServerHttp2Session];
  try {
    const bytesOf = async (fields: readonly string[]): Promise<number> => {
      await send(session, fields);
      const before = peer.socket.bytesRead;
      await send(session, fields);
      return peer.socket.bytesRead - before;
    };
    await bytesOf([]);
    const without = await bytesOf([]);
    const minter = createHopMinter(randomBytes(6));
    for (const hops of HOPS) {
      const chain = bench.chain(hops);
      const hop = [
        'delegation-hop',
        formatHop({ hop: minter.next(), parent: minter.next(), request: randomBytes(12).toString('base64url') }),
      ];
      const whole = (await bytesOf([...wholeFields(chain), ...hop])) - without;
      const bySlot = (await bytesOf(['delegation-slot', chain.chainId.toString('base64url'), ...hop])) - without;
      const name = `on the wire whole, ${hopsText(hops)}`;
      report.row({ row: name, metric: 'bytes', value: whole, unit: 'B', peer: null, ratio: null });
      report.row({
        row: `on the wire by slot, ${hopsText(hops)}`,
        metric: 'bytes',
        value: bySlot,
        unit: 'B',
        peer: name,
        ratio: bySlot / whole,
      });
    }
  } finally {
    session.destroy();
    server.close();
  }
}

function wholeFields({ txnToken, delegationChain, delegationCredentials }: OutgoingChain): string[] {
  return ['txn-token', txnToken, 'delegation-chain', delegationChain, 'delegation-credentials', delegationCredentials];
}

/** One request, answered with 200 and no body. */
async function send(session: http2.ClientHttp2Session, fields: readonly string[]): Promise<void> {
  const request = session.request(neverIndexed([...PSEUDO, ...fields]), { endStream: true });
  const [headers] = await once(request, 'response');
  if (headers[':status'] !== 200) throw new Error(`answered with ${headers[':status']}`);
  request.resume();
  await once(request, 'close');
}
