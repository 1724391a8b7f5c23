export { PROOF_ALGORITHMS, PROOF_WINDOW_S, type ProofExpectation, type VerifiedProof, verifyProof } from './proof.ts';
export { createProofMemory, type ProofMemory } from './proof-memory.ts';
