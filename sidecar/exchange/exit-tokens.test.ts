import { beforeEach, expect, test } from 'vitest';
import type { RevocableFacts, VerifiedRoot } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { Issued } from '../../proto/behalf/authority/v1/authority.ts';
import type { ExchangeOrder } from './exchange-stream.ts';
import { createExitTokens, type ExitTokens } from './exit-tokens.ts';

const BANK = 'https://api.bank.example';
const TOKEN = 'aaaa.bbbb.cccc';

let nowS: number;
let asked: ExchangeOrder[];
let answer: (order: ExchangeOrder) => Promise<Issued>;
let tokens: ExitTokens;
let wit: string;

const issued = (more: Partial<Issued> = {}): Issued => ({
  txnToken: '',
  expiresS: nowS + 60,
  scope: '',
  accessToken: TOKEN,
  jti: `jti-${asked.length}`,
  ...more,
});

beforeEach(() => {
  nowS = 1_000_000;
  asked = [];
  wit = 'wit-1';
  answer = async () => issued();
  tokens = createExitTokens({
    exchange: {
      exchangeOut(order) {
        asked.push(order);
        return answer(order);
      },
    },
    identity: { current: () => ({ wit, witS256: wit }) as never },
    nowS: () => nowS,
  });
});

/** As far as it is read here. */
function delegation(id: number, txn = 'txn-1'): VerifiedRoot {
  const revocable = { root: { iat: 999_990, txn, sub: 'u:a' } as never, signers: [] } satisfies RevocableFacts;
  const parent = { txnToken: `root-${id}`, delegationChain: `chain-${id}`, delegationCredentials: `wits-${id}` };
  return { chainId: Buffer.alloc(16, id), revocable, parent } as unknown as VerifiedRoot;
}

const order = (id: number, scopes = ['a', 'b'], audience = BANK) => ({ parent: delegation(id), audience, scopes });

test('what is held is asked with, whole; the same delegation, audience and scopes get the same token', async () => {
  const first = await tokens.get(order(1));
  expect(asked).toEqual([
    {
      subjectToken: 'root-1',
      subjectTokenType: 'urn:ietf:params:oauth:token-type:txn_token',
      delegationChain: 'chain-1',
      delegationCredentials: 'wits-1',
      audience: BANK,
      scope: 'a b',
    },
  ]);
  expect(await tokens.get(order(1, ['b', 'a']))).toBe(first);
  expect(asked).toHaveLength(1);
});

test('another delegation, audience, scope or certificate is another token', async () => {
  const orders = [order(1), order(2), order(1, ['a']), order(1, ['a', 'b'], 'https://other.example')];
  for (const one of orders) await tokens.get(one);
  const own = { parent: null, audience: BANK, scopes: [] };
  await tokens.get(own);
  wit = 'wit-2';
  await tokens.get(own);
  expect(asked).toHaveLength(6);
  expect(asked.at(-1)).toMatchObject({
    subjectToken: 'wit-2',
    subjectTokenType: 'urn:ietf:params:oauth:token-type:jwt',
  });
});

test('near its end a token is not sent again', async () => {
  await tokens.get(order(1));
  nowS += 54;
  await tokens.get(order(1));
  expect(asked).toHaveLength(1);
  nowS += 1;
  await tokens.get(order(1));
  expect(asked).toHaveLength(2);
});

test('who asks while it is asked gets the same; what fails is asked again', async () => {
  const gate = Promise.withResolvers<Issued>();
  answer = () => gate.promise;
  const both = [tokens.get(order(1)), tokens.get(order(1))];
  gate.reject(new BehalfError('policy_denied'));
  for (const one of both) await expect(one).rejects.toMatchObject({ code: 'policy_denied' });
  answer = async () => issued();
  await tokens.get(order(1));
  expect(asked).toHaveLength(2);
});

test('a revocation forgets what it hits, also what was under way; a new policy forgets all', async () => {
  await tokens.get(order(1));
  await tokens.get({ ...order(2), parent: delegation(2, 'txn-2') });
  tokens.revoke({ kind: 'txn', value: 'txn-1', before: nowS }, 'authority');
  await tokens.get({ ...order(2), parent: delegation(2, 'txn-2') });
  expect(asked).toHaveLength(2);
  const gate = Promise.withResolvers<Issued>();
  answer = () => gate.promise;
  const late = tokens.get(order(1));
  tokens.clear();
  gate.resolve(issued());
  await late;
  answer = async () => issued();
  await tokens.get(order(1));
  await tokens.get({ ...order(2), parent: delegation(2, 'txn-2') });
  expect(asked).toHaveLength(5);
});

test('what would break the head, or is no token at all, is not sent', async () => {
  for (const accessToken of ['', 'a.b', 'a.b.c\r\nx: 1', 'a b.c.d', `${'a'.repeat(9_000)}.b.c`]) {
    answer = async () => issued({ accessToken });
    await expect(tokens.get(order(1))).rejects.toMatchObject({ code: 'internal' });
  }
});

test('at the bound the oldest token goes', async () => {
  for (let id = 0; id < 8_193; id += 1) {
    const parent = delegation(1);
    parent.chainId.writeUInt32BE(id);
    await tokens.get({ parent, audience: BANK, scopes: [] });
  }
  expect(asked).toHaveLength(8_193);
  const parent = delegation(1);
  parent.chainId.writeUInt32BE(8_192);
  await tokens.get({ parent, audience: BANK, scopes: [] });
  expect(asked).toHaveLength(8_193);
  parent.chainId.writeUInt32BE(0);
  await tokens.get({ parent, audience: BANK, scopes: [] });
  expect(asked).toHaveLength(8_194);
});
