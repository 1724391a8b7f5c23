/** docs/delegation-chain.md says what the code does: its worked example, error table and limits are held against it. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CHAIN_ID_BYTES, type ChainVector, parseChain } from '../../delegation/index.ts';
import * as limits from '../../delegation/limits.ts';
import { ERROR_TABLE } from '../../errors/table.ts';

const PAGE = readFileSync(new URL('../../docs/delegation-chain.md', import.meta.url), 'utf8');
const section = (number: number): string => PAGE.split(/^## \d+\. /m)[number] ?? '';
const rows = (text: string): string[][] =>
  [...text.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) => row.split(' | ').map((cell) => cell.trim()));

test('the worked example has the values of its vector', () => {
  const file = new URL('./chain/good-two-links.json', import.meta.url);
  const vector: ChainVector = JSON.parse(readFileSync(file, 'utf8'));
  const [txnToken, delegationChain, delegationCredentials] = [
    vector.txn_token,
    vector.delegation_chain,
    vector.delegation_credentials,
  ] as [string, string, string];
  const { root, hops, chainId } = parseChain({ txnToken, delegationChain, delegationCredentials });
  expect(chainId).toHaveLength(CHAIN_ID_BYTES);
  const example = section(22);
  const [first] = hops;
  const hashes = [root.signingInputS256, first?.link.signingInputS256, ...hops.map(({ wit }) => wit.s256)];
  for (const value of [...hashes, chainId.toString('base64url'), vector.delegation_hop]) {
    expect(example).toContain(value);
  }
  const payloads = [txnToken, ...delegationChain.split(', ')].map((jws) => jws.split('.')[1] as string);
  for (const payload of payloads) {
    const json = JSON.stringify(JSON.parse(Buffer.from(payload, 'base64url').toString()), null, 2);
    expect(example).toContain(json);
  }
});

test('the error table is that of the code', () => {
  const said = rows(section(9)).flatMap(([codes = '', , http, grpc]) =>
    [...codes.matchAll(/`([a-z_]+)`/g)].map(([, code]) => ({ code, http: Number(http), grpc })),
  );
  expect(said.length).toBeGreaterThan(20);
  for (const { code, http, grpc } of said) {
    const entry = ERROR_TABLE[code as keyof typeof ERROR_TABLE];
    expect({ code, http, grpc }).toEqual({ code, http: entry?.http, grpc: entry?.grpc });
  }
});

test('the limits are those of the code', () => {
  const table = section(10);
  const { MAX_ROOT_BYTES, MAX_LINK_BYTES, MAX_WIT_BYTES, MAX_TOTAL_BYTES } = limits;
  expect(table).toContain(`${MAX_ROOT_BYTES}, ${MAX_LINK_BYTES}, ${MAX_WIT_BYTES}, ${MAX_TOTAL_BYTES} bytes`);
  expect(table).toContain(`${limits.MAX_ROOT_LIFE_S} s, ${limits.MAX_LINK_LIFE_S} s`);
  expect(table).toContain(
    `${limits.MAX_ROOT_JSON_DEPTH} (root) or ${limits.MAX_JSON_DEPTH}; ${limits.MAX_JSON_MEMBERS}`,
  );
});
