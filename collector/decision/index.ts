/** Central decisions. */
export { type DecisionDeps, serveDecision } from './serve-decision.ts';
