/** Asks both verifiers the same question, and says where they differ. */
import { type ChainVector, verifyVector } from '../../delegation/index.ts';
import { type Verdict, verifyReference } from './verify.ts';

export interface Comparison {
  /** `ok`, or the library's code. */
  readonly verdict: string;
  /** What each said, where they differ; else null. */
  readonly difference: string | null;
}

export function compareVerdicts(vector: ChainVector): Comparison {
  const library = verdictOf(() => libraryVerdict(vector));
  const reference = verdictOf(() => verifyReference(vector));
  const [a, b] = [JSON.stringify(library), JSON.stringify(reference)];
  const verdict = library.ok ? 'ok' : library.code;
  return { verdict, difference: a === b ? null : `library ${a}, reference ${b}` };
}

function libraryVerdict(vector: ChainVector): Verdict {
  const { ok, sub, scope, depth, code } = verifyVector(vector);
  return ok ? { ok, sub: sub as string, scope: scope as string, depth: depth as number } : { ok, code: code as string };
}

/** Anything but a verdict is a difference, too. */
function verdictOf(ask: () => Verdict): Verdict {
  try {
    return ask();
  } catch (error) {
    return { ok: false, code: `threw ${error}` };
  }
}
