/** `behalf chain verify` of a chain that somebody has in hand, or of one that is on record: each check as a line. */
import { defaultAudience } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { parseSpiffeId, type SpiffeId } from '../../identity/index.ts';
import type { ExitCode, Flags, Values } from '../command.ts';
import { printable, type Style, styleFor } from '../draw/style.ts';
import { instant } from '../draw/words.ts';
import { connectQuery } from '../hops/query.ts';
import { DIR_FLAG, directoryOf } from '../mesh/dir-flag.ts';
import { asOperator } from '../mesh/operator.ts';
import { columns, respond } from '../output.ts';
import { chainOfFlags, PASTED_FLAGS, readPastedChain, requireHopId } from './chain-input.ts';
import type { Check } from './check.ts';
import { type Judged, judgeChain, type Outcome, outcomeOf } from './check-list.ts';
import { findCall, judgedAtS, judgeRecorded, whyNoChain } from './recorded-chain.ts';
import { readVerifyingKeys } from './verifying-keys.ts';

const COMMAND = 'chain verify';

/** The flags beside `--vector`. */
export const CHAIN_VERIFY_FLAGS = {
  bundle: {
    type: 'string',
    value: 'FILE',
    description:
      'Verify a pasted chain with the keys of this bundle (a mesh’s bundle.json, or a SPIFFE bundle with --keys).',
  },
  keys: {
    type: 'string',
    value: 'FILE',
    description: 'The authority’s keys as a JWKS, instead of those in the bundle.',
  },
  at: {
    type: 'string',
    value: 'TIME',
    description: 'Judge as of then: seconds, or 2026-11-24T22:10:03Z; now by default.',
  },
  me: { type: 'string', value: 'SPIFFE_ID', description: 'Who receives it.' },
  peer: { type: 'string', value: 'SPIFFE_ID', description: 'Who presents it.' },
  'peer-certificate': {
    type: 'string',
    value: 'S256',
    description: 'base64url SHA-256 of the presenter’s certificate.',
  },
  'my-certificate': { type: 'string', value: 'S256', description: 'base64url SHA-256 of the receiver’s certificate.' },
  route: { type: 'string', value: 'ROUTE', description: 'The route that was called, "<METHOD> <template>".' },
  issuer: { type: 'string', value: 'URL', description: 'The authority, instead of the one in the bundle.' },
  audience: { type: 'string', value: 'TEXT', description: 'The root’s audience, instead of the trust domain’s own.' },
  ...PASTED_FLAGS,
  'from-log': {
    type: 'string',
    value: 'HOP',
    description: 'Verify the chain of a recorded call, and that the log commits to it.',
  },
  dir: DIR_FLAG,
} as const satisfies Flags;

type VerifyValues = Values<typeof CHAIN_VERIFY_FLAGS> & { readonly json?: boolean; readonly 'no-color'?: boolean };

/** Whether a chain is meant, not vectors. */
export function meansChain(values: VerifyValues): boolean {
  return values.bundle !== undefined || values['from-log'] !== undefined || chainOfFlags(values) !== null;
}

/** @throws {BehalfError} `usage`, and for files and records that cannot be read */
export async function verifyGivenChain(values: VerifyValues, files: readonly string[]): Promise<ExitCode> {
  const hop = values['from-log'];
  if (hop === undefined) return verifyPasted(values, files);
  if (values.bundle !== undefined || chainOfFlags(values) !== null || files.length > 0)
    throw wrong('--from-log takes chain and keys from the running mesh');
  return verifyFromLog(values, requireHopId(hop, COMMAND));
}

async function verifyFromLog(values: VerifyValues, hop: string): Promise<ExitCode> {
  return asOperator(directoryOf(values.dir), async (operator) => {
    const query = connectQuery(operator);
    const call = await findCall(query, hop);
    const { chain } = call;
    if (chain === null) throw new BehalfError('not_found', { hop, why: whyNoChain(call.view) });
    const judged = await judgeRecorded({ ...call, chain }, { query, bundle: await operator.bundle() });
    return tell(judged, judgedAtS(call.view), { hop }, values);
  });
}

function verifyPasted(values: VerifyValues, files: readonly string[]): ExitCode {
  const { bundle } = values;
  if (bundle === undefined) throw wrong('a pasted chain needs the keys of a --bundle');
  if (files.length > 1) throw wrong('one chain at a time');
  const flags = chainOfFlags(values);
  if (flags !== null && files.length > 0) throw wrong('the chain is given twice, in flags and in a file');
  if (flags === null && files.length === 0 && process.stdin.isTTY) throw wrong('name a file with the chain’s headers');
  const own = readVerifyingKeys(bundle, values.keys ?? null);
  const nowS = values.at === undefined ? Date.now() / 1000 : parseTime(values.at);
  const trustDomain = own.trustDomain;
  const keys = {
    ...own,
    issuer: values.issuer ?? own.issuer,
    audience: values.audience ?? own.audience ?? (trustDomain === null ? null : defaultAudience(trustDomain)),
  };
  const judged = judgeChain(flags ?? readPastedChain(files[0] ?? '-'), {
    nowS,
    keys,
    unknownKey: 'refused',
    me: idOf(values.me, '--me'),
    peer: peerOf(values),
    route: values.route === undefined ? null : { matched: values.route },
    myCertificateS256: values['my-certificate'] ?? null,
    liveState: null,
    policy: null,
  });
  return tell(judged, nowS, {}, values);
}

function peerOf({ peer, 'peer-certificate': certificate }: VerifyValues) {
  const spiffeId = idOf(peer, '--peer');
  if (spiffeId === null && certificate !== undefined) throw wrong('--peer-certificate goes with --peer');
  return spiffeId === null ? null : { spiffeId, certificateS256: certificate ?? null };
}

function tell({ checks, chain, root }: Judged, atS: number, facts: object, values: VerifyValues): ExitCode {
  const outcome = outcomeOf(checks);
  const holds = outcome.kind === 'holds';
  const style = styleFor(process.stdout, values['no-color']);
  return respond(
    values.json,
    {
      ...facts,
      ok: holds,
      outcome: outcome.kind,
      code: outcome.kind === 'refused' ? outcome.code : null,
      at: atS,
      sub: root?.claims.sub ?? null,
      txn: root?.claims.txn ?? null,
      chain: chain?.chainId.toString('base64url') ?? null,
      depth: chain?.last.link.claims.del_depth ?? null,
      checks,
    },
    () => [
      `judged as of ${instant(atS * 1e6).slice(0, 19)} UTC`,
      ...linesOf(checks, style),
      '',
      endLine(outcome, style),
    ],
    holds ? 0 : 1,
  );
}

function endLine(outcome: Outcome, style: Style): string {
  switch (outcome.kind) {
    case 'holds':
      return style.good('holds: every signature and rule that can be judged here');
    case 'undecided':
      return style.bad('undecided: not every signature could be judged');
    case 'refused':
      return style.bad(`refused: ${outcome.code}`);
    default:
      return outcome satisfies never;
  }
}

const VERDICTS = { ok: 'ok', refused: 'REFUSED', not_judged: 'not judged' } as const;

/** A line a check: step, verdict, what was checked, what was seen. */
function linesOf(checks: readonly Check[], style: Style): string[] {
  const rows = checks.map(({ step, verdict, check }) => [String(step), VERDICTS[verdict], check]);
  return columns(rows).map((row, at) => {
    const { verdict, code, why } = checks[at] as Check;
    const seen = [code, why].filter((part) => part !== null && part !== '').join(': ');
    const line = seen === '' ? row : `${row}${' '.repeat(Math.max(0, widthOf(rows) - row.length))}  ${printable(seen)}`;
    return verdict === 'refused' ? style.bad(line) : verdict === 'ok' ? line : style.dim(line);
  });
}

function widthOf(rows: readonly (readonly string[])[]): number {
  return Math.max(...columns(rows).map(({ length }) => length));
}

/** Seconds since the epoch, or an ISO 8601 time; one without a zone is UTC, as all that `behalf` prints. */
export function parseTime(text: string): number {
  if (/^\d{1,12}(\.\d+)?$/.test(text)) return Number(text);
  const iso = text.trim().replace(' ', 'T');
  const seconds = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(iso) ? iso : `${iso}Z`) / 1000;
  if (Number.isNaN(seconds)) throw wrong('--at is neither seconds nor a time such as 2026-11-24T22:10:03Z');
  return seconds;
}

function idOf(text: string | undefined, flag: string): SpiffeId | null {
  if (text === undefined) return null;
  try {
    return parseSpiffeId(text);
  } catch (cause) {
    throw new BehalfError('usage', { command: COMMAND, why: `${flag} is no SPIFFE ID` }, { cause });
  }
}

function wrong(why: string): BehalfError {
  return new BehalfError('usage', { command: COMMAND, why });
}
