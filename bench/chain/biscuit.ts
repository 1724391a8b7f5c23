/**
 * The same content as a Biscuit: an authority block with what the root says, and one attenuation block a hop with what the link
 * says, as checks on who receives it and until when. Ed25519, Rust in WebAssembly. A Biscuit's block proves that it was appended,
 * not by whom: a link proves that too, by its WIT. Before it appends, the holder verifies what it got, as reading it demands.
 */
import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { OutgoingChain } from '../../delegation/index.ts';
import type { Report } from '../harness/report.ts';
import { median, type RoundLimits, runRounds, type Traffic, type Work } from '../harness/rounds.ts';
import { type BenchMesh, hopsText, nameOf } from './hops.ts';
import { AT_ONCE, allAtOnce, MANY_HOPS } from './many.ts';

type BiscuitModule = typeof import('@biscuit-auth/biscuit-wasm');
type KeyPair = InstanceType<BiscuitModule['KeyPair']>;

const HOPS = [1, 3, 6, 8] as const;
/** The library's own limit of a millisecond would fail verifications on a busy machine. */
const LIMITS = { max_facts: 10_000, max_iterations: 1_000, max_time_micro: 10_000_000 };

export interface BiscuitHops {
  /** A token for a new user, in base64. */
  newRoot(): string;
  /** Appends hop n (from 0); what the holder of the token does, who verifies it first. */
  attenuate(token: string, hop: number): string;
  /** What the receiver of hop n does. @throws where it is not for that receiver */
  verify(token: string, hop: number): void;
}

/** Loads the library. @throws where this Node cannot load its WebAssembly */
export async function loadBiscuit({ mesh, newUser }: BenchMesh): Promise<BiscuitHops> {
  const library = await importQuietly();
  const { Biscuit } = library;
  const root: KeyPair = new library.KeyPair();
  const rootKey = root.getPublicKey();
  const idOf = (place: number): string => mesh.workload(nameOf(place)).spiffeId;
  const dateOf = (timeS: number): string => new Date(timeS * 1000).toISOString().replace('.000Z', 'Z');

  return {
    newRoot() {
      const { aud, iat, exp, txn, sub, scope, req_wl, tctx } = mesh.rootClaims(newUser());
      const builder = Biscuit.builder();
      builder.addCode(
        `audience_of_root("${aud}"); issued(${dateOf(iat)}); txn("${txn}"); sub("${sub}"); req_wl("${req_wl}");
         client("${tctx.client_id}"); consent("${tctx.consent?.id}", ${tctx.consent?.version}); grant("${tctx.grant}");
         purpose("${tctx.purpose}"); ${scope
           .split(' ')
           .map((name) => `scope("${name}");`)
           .join(' ')}
         check if time($now), $now < ${dateOf(exp)};`,
      );
      const token = builder.build(root.getPrivateKey());
      const text = token.toBase64();
      token.free();
      return text;
    },
    attenuate(token, hop) {
      const held = Biscuit.fromBase64(token, rootKey);
      const block = Biscuit.block_builder();
      block.addCode(
        `from("${idOf(hop)}"); to("${idOf(hop + 1)}"); jti("${randomBytes(12).toString('base64url')}"); depth(${hop + 1});
         check if time($now), $now < ${dateOf(mesh.nowS + 60)};
         check if hop(${hop + 1}, "${idOf(hop + 1)}");`,
      );
      const longer = held.appendBlock(block);
      const text = longer.toBase64();
      block.free();
      held.free();
      longer.free();
      return text;
    },
    verify(token, hop) {
      const received = Biscuit.fromBase64(token, rootKey);
      const authorizer = received.getAuthorizer();
      const path = Array.from({ length: hop + 1 }, (_, i) => `hop(${i + 1}, "${idOf(i + 1)}");`).join(' ');
      authorizer.addCode(`time(${dateOf(mesh.nowS)}); ${path} allow if scope("orders:read");`);
      const blocks = received.countBlocks();
      if (authorizer.authorizeWithLimits(LIMITS) !== 0 || blocks !== hop + 2) throw new Error('not the Biscuit sent');
      authorizer.free();
      received.free();
    },
  };
}

/** It announces itself on the console, which here would be a line among the rows. */
async function importQuietly(): Promise<BiscuitModule> {
  const { log } = console;
  console.log = () => undefined;
  try {
    return await import('@biscuit-auth/biscuit-wasm');
  } finally {
    console.log = log;
  }
}

/** Attenuating by one hop, verifying and bytes. */
export async function measureBiscuit(biscuit: BiscuitHops, report: Report, limits: RoundLimits): Promise<void> {
  const contestants = HOPS.flatMap((hops) => {
    const parent = chainOf(biscuit, hops - 1);
    const token = biscuit.attenuate(parent, hops - 1);
    return [
      repeat(`Biscuit attenuate, hop ${hops}`, () => void biscuit.attenuate(parent, hops - 1)),
      repeat(`Biscuit verify, ${hopsText(hops)}`, () => biscuit.verify(token, hops - 1)),
    ];
  });
  const measured = await runRounds(contestants, limits);
  for (const { name } of contestants) {
    const value = median(measured.get(name)!.cpuUs);
    report.row({ row: name, metric: 'cpu', value, unit: 'us', peer: null, ratio: null });
  }
}

/** Header characters of both, hop by hop. */
export function compareSizes(bench: BenchMesh, biscuit: BiscuitHops, report: Report): void {
  for (const hops of HOPS) {
    const own = charactersOf(bench.chain(hops));
    const value = chainOf(biscuit, hops).length;
    const peer = `Behalf chain, ${hopsText(hops)}`;
    report.row({ row: peer, metric: 'characters', value: own, unit: 'B', peer: null, ratio: null });
    report.row({ row: `Biscuit, ${hopsText(hops)}`, metric: 'characters', value, unit: 'B', peer, ratio: value / own });
  }
}

/** Three hops of traffic `many`. */
export function attenuated(biscuit: BiscuitHops, name: string): Traffic {
  let roots: readonly string[] = [];
  async function request(place: number): Promise<void> {
    let token = roots[place]!;
    for (let hop = 0; hop < MANY_HOPS; hop++) {
      token = biscuit.attenuate(token, hop);
      await nextTurn();
      biscuit.verify(token, hop);
    }
  }
  return {
    name,
    leastTimes: AT_ONCE,
    prepare(times) {
      roots = Array.from({ length: times }, () => biscuit.newRoot());
    },
    answer: (times) => allAtOnce(times, request),
  };
}

function chainOf(biscuit: BiscuitHops, hops: number): string {
  let token = biscuit.newRoot();
  for (let hop = 0; hop < hops; hop++) token = biscuit.attenuate(token, hop);
  return token;
}

function charactersOf({ txnToken, delegationChain, delegationCredentials }: OutgoingChain): number {
  return txnToken.length + delegationChain.length + delegationCredentials.length;
}

function repeat(name: string, one: () => void): Work {
  return {
    name,
    run(times) {
      for (let i = 0; i < times; i++) one();
    },
  };
}
