export {
  type ChainVector,
  parseVector,
  type VectorExpectation,
  type VectorKey,
  type VectorRevocation,
} from './vector.ts';
export { type VectorResult, verifyVector } from './verify-vector.ts';
