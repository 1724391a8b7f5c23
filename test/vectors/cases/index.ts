export type { ChainCase } from './case.ts';

import type { ChainCase } from './case.ts';
import { DETAIL_CASES } from './details.ts';
import { EDGE_CALL_CASES } from './edge-calls.ts';
import { EDGE_CASES } from './edges.ts';
import { FORM_CASES } from './form.ts';
import { GOOD_CASES } from './good.ts';
import { JSON_CASES } from './json.ts';
import { MEMBER_CASES } from './members.ts';
import { ORDER_CASES } from './order.ts';
import { REVOKED_CASES } from './revoked.ts';
import { SPLICE_CASES } from './splices.ts';
import { STRUCTURE_CASES } from './structure.ts';
import { TRUST_CASES } from './trust.ts';

/** All cases, in the order of verification. */
export const CHAIN_CASES: readonly ChainCase[] = [
  ...GOOD_CASES,
  ...EDGE_CASES,
  ...EDGE_CALL_CASES,
  ...FORM_CASES,
  ...JSON_CASES,
  ...MEMBER_CASES,
  ...STRUCTURE_CASES,
  ...DETAIL_CASES,
  ...SPLICE_CASES,
  ...REVOKED_CASES,
  ...TRUST_CASES,
  ...ORDER_CASES,
];
