export type { ChainCase } from './case.ts';

import type { ChainCase } from './case.ts';
import { FORM_CASES } from './form.ts';
import { GOOD_CASES } from './good.ts';
import { STRUCTURE_CASES } from './structure.ts';
import { TRUST_CASES } from './trust.ts';

/** All cases, in the order of verification. */
export const CHAIN_CASES: readonly ChainCase[] = [...GOOD_CASES, ...FORM_CASES, ...STRUCTURE_CASES, ...TRUST_CASES];
