/** What an attempt is, and how one is judged. */
import type { Scene } from './attacker/scene.ts';

export interface Attempt {
  /** Unique; docs/threat-model.md names it. */
  readonly name: string;
  /** What the attacker has. */
  readonly has: string;
  /** The code of the refusal, the finding's kind, or `removed`. */
  readonly expect: string;
  /** The checks that it aims at (`off/replacements.ts`); several where one alone would not let it through. */
  readonly off: readonly string[];
  /** What the check that is off would have had to find out. */
  readonly facts?: (scene: Scene) => object;
  /** What the mesh's operators have done before, all checks on. */
  readonly before?: (scene: Scene) => Promise<unknown>;
  /** Gives what came of it: `reached` where the app answered or the record believed it, else the code. */
  readonly run: (scene: Scene) => Promise<string>;
  /** Whether it can be tried here; why not otherwise. */
  readonly impossible?: () => string | null;
}

export interface Tried {
  readonly attempt: string;
  readonly has: string;
  readonly expected: string;
  readonly observed: string;
  readonly off: readonly string[];
  /** With its checks off. */
  readonly unguarded: string;
  readonly held: boolean;
}

export const REACHED = 'reached';
