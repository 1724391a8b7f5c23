export { PROOF_ALGORITHMS, type ProofExpectation, type VerifiedProof, verifyProof } from './proof.ts';
export { createProofMemory, type ProofMemory } from './proof-memory.ts';
