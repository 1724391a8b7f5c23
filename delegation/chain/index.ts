export {
  type ChainCache,
  createChainCache,
  DEFAULT_MAX_CHAINS,
  DEFAULT_MAX_CHAINS_PER_PEER,
} from './chain-cache.ts';
export { CHAIN_ID_BYTES, chainDigest } from './chain-id.ts';
export { type FindParsedWit, parseChain } from './parse-chain.ts';
export type { ChainHeaders, ParsedChain, ParsedHop } from './parsed-chain.ts';
export { verifyChain } from './verify-chain.ts';
