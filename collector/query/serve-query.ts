/** The gRPC face of the record: for operators and auditors of this trust domain, read only. */
import { BODIES } from '../../audit/event/fields.ts';
import { inclusionPath, leafHash } from '../../audit/merkle/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { pathOf, type TrustDomain, trustDomainOf } from '../../identity/index.ts';
import { type Caller, type GrpcServer, requireCaller } from '../../identity/mtls/index.ts';
import { auditQuery } from '../../proto/behalf/audit/v1/audit.ts';
import type { Log } from '../log/log.ts';
import type { RecordReader } from '../store/record-reader.ts';

const DEFAULT_LIMIT = 1_000;
const MAX_LIMIT = 10_000;
const OPERATORS = '/behalf/operator/';

/** Names by which `ListEvents` knows the kinds. */
const KINDS: Readonly<Record<string, number>> = {
  issuance: BODIES.issuance.number,
  consent: BODIES.consent.number,
  evaluation: BODIES.evaluation.number,
  part: BODIES.part.number,
  connection_refused: BODIES.connectionRefused.number,
  key: BODIES.key.number,
  revocation: BODIES.revocation.number,
  token_issued: BODIES.tokenIssued.number,
  deferred: BODIES.deferred.number,
};

/** Serves `behalf.audit.v1.AuditQuery`. `nowUs` is the collector's clock. */
export function serveQuery(
  server: GrpcServer,
  deps: { reader: RecordReader; ledger: Log; trustDomain: TrustDomain; nowUs: () => number },
): void {
  const { reader, ledger, trustDomain, nowUs } = deps;
  const checkOperator = (caller: Caller): void => {
    const id = requireCaller(caller);
    if (trustDomainOf(id) !== trustDomain || !pathOf(id).startsWith(OPERATORS)) {
      throw new BehalfError('policy_denied', { caller: id, why: 'the record is for operators' });
    }
  };

  server.add(auditQuery, {
    listHops(request, caller) {
      checkOperator(caller);
      const limit = limitOf(request.limit);
      return page(reader.hops(request, limit + 1), limit);
    },
    listEvents({ kind, fromIndex, sinceUs, limit: asked }, caller) {
      checkOperator(caller);
      const number = kind === '' ? null : KINDS[kind];
      if (number === undefined)
        throw new BehalfError('request_malformed', { kind: kind.slice(0, 40), kinds: Object.keys(KINDS) });
      const limit = limitOf(asked);
      return page(reader.events({ kind: number, fromIndex, sinceUs }, limit + 1), limit);
    },
    getChain({ chainId, hopId }, caller) {
      checkOperator(caller);
      const found = chainId.length > 0 ? reader.chainById(chainId) : reader.chainOfHop(hopId);
      if (found === null)
        throw new BehalfError('not_found', { hop: hopId.toString('base64url'), chain: chainId.toString('hex') });
      return found;
    },
    summary(_request, caller) {
      checkOperator(caller);
      return { logSize: ledger.size(), ...reader.totals(nowUs()) };
    },
    getCheckpoint(_request, caller) {
      checkOperator(caller);
      return { checkpoint: ledger.checkpoint() };
    },
    getInclusionProof({ index, treeSize }, caller) {
      checkOperator(caller);
      const [checkpoint, newest] = [ledger.checkpoint(), ledger.size()];
      const size = treeSize === 0 ? newest : treeSize;
      const entry = index < size ? reader.entry(index) : null;
      if (size > newest || entry === null) throw new BehalfError('not_found', { index, size, newest });
      return {
        checkpoint,
        index,
        leafHash: leafHash(entry),
        path: inclusionPath(index, size, ledger.subtrees(size)),
        entry,
      };
    },
    listFindings({ openOnly, limit: asked, afterId }, caller) {
      checkOperator(caller);
      const limit = limitOf(asked);
      const findings = reader.findings({ openOnly, afterId }, limit + 1);
      return { findings: findings.slice(0, limit), more: findings.length > limit };
    },
  });
}

function page<E>(events: E[], limit: number): { events: E[]; more: boolean } {
  return { events: events.slice(0, limit), more: events.length > limit };
}

function limitOf(asked: number): number {
  return asked === 0 ? DEFAULT_LIMIT : Math.min(asked, MAX_LIMIT);
}
