/** TypeScript shapes of `decision.proto`, as `proto/service.ts` loads them. */
import { defineService, type Unary } from '../../../service.ts';

export interface DecideRequest {
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  readonly path: string;
  readonly subject: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
  readonly purpose: string;
  readonly consentId: string;
  readonly actors: readonly string[];
  readonly depth: number;
  readonly resourceJson: string;
}

export interface DecideResponse {
  readonly allow: boolean;
  readonly code: string;
  readonly policies: readonly string[];
  readonly route: string;
  readonly snapshotNumber: number;
}

export type DecisionService = {
  decide: Unary<DecideRequest, DecideResponse>;
};

export const decisionService = defineService<DecisionService>(
  'behalf/decision/v1/decision.proto',
  'behalf.decision.v1.Decision',
);
