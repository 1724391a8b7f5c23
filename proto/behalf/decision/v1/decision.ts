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

export interface ExplainRequest {
  readonly call: DecideRequest | null;
  readonly route: string;
  readonly snapshotNumber: number;
  readonly atUs: number;
  readonly entry: string;
  readonly entryRoute: string;
}

export interface ExplainResponse {
  readonly snapshotKnown: boolean;
  readonly snapshotNumber: number;
  readonly snapshotInForce: number;
  readonly issuedAtS: number;
  readonly decision: DecideResponse | null;
  readonly why: string;
  readonly policies: readonly PolicyFacts[];
  readonly neededScopes: readonly string[];
  readonly missingScopes: readonly string[];
  readonly hasEdge: boolean;
  readonly edgeNarrows: boolean;
  readonly edgeScopes: readonly string[];
  readonly service: OwnedThing | null;
  readonly caller: OwnedThing | null;
  readonly entryKnown: boolean;
  readonly entryCeiling: readonly string[];
  readonly entryRouteKnown: boolean;
  readonly entryRouteScopes: readonly string[];
}

export interface PolicyFacts {
  readonly id: string;
  readonly effect: string;
  readonly owner: string;
  readonly reason: string;
  readonly text: string;
}

export interface OwnedThing {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly reason: string;
}

export type DecisionService = {
  decide: Unary<DecideRequest, DecideResponse>;
  explain: Unary<ExplainRequest, ExplainResponse>;
};

export const decisionService = defineService<DecisionService>(
  'behalf/decision/v1/decision.proto',
  'behalf.decision.v1.Decision',
);
