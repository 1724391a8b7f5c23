/** The gRPC face of the intake: one stream a reporter, whose name is the SPIFFE ID that mTLS proved and nothing else. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { BehalfError } from '../../errors/index.ts';
import { createCrowd, type GrpcServer, requireCaller, STREAM_LIMITS } from '../../identity/mtls/index.ts';
import { auditIntake, type ReportRequest, type ReportResponse } from '../../proto/behalf/audit/v1/audit.ts';
import type { Sent } from '../../proto/service.ts';
import { parseReport, type Report, type StoredThrough } from '../store/record-writer.ts';
import type { Recorder, ReportSession } from './recorder.ts';

/** Requests of one stream that wait to be stored; the stream is not read beyond it. */
const MAX_STREAM_REQUESTS = 32;

type IntakeStream = ServerDuplexStream<ReportRequest, Sent<ReportResponse>>;

/** Serves `behalf.audit.v1.AuditIntake`. */
export function serveIntake(server: GrpcServer, recorder: Recorder): void {
  const reporting = createCrowd(STREAM_LIMITS);
  server.add(auditIntake, {
    async report(stream, caller) {
      const reporter = requireCaller(caller);
      const leave = reporting.enter(caller);
      await takeIn(stream, reporter, recorder).finally(leave);
    },
  });
}

/** Resolves when the reporter ends its stream, rejects with what ends it for another reason. */
function takeIn(stream: IntakeStream, reporter: string, recorder: Recorder): Promise<void> {
  return new Promise((resolve, reject) => {
    const session: ReportSession = { failed: false };
    let pending = 0;
    let ended = false;

    stream.on('data', (request: ReportRequest) => {
      pending++;
      if (pending >= MAX_STREAM_REQUESTS || !recorder.hasRoom()) stream.pause();
      store(request).then(acknowledge, fail);
    });
    stream.on('end', () => {
      ended = true;
      finish();
    });
    stream.on('cancelled', () => resolve());
    stream.on('error', () => resolve());

    /** In order: requests are submitted as they come, and none after one that failed. */
    async function store(request: ReportRequest): Promise<StoredThrough> {
      if (session.failed) throw new BehalfError('audit_unavailable', { why: 'after a failed report' });
      let report: Report;
      try {
        report = parseReport(reporter, request);
      } catch (error) {
        session.failed = true;
        throw error;
      }
      return recorder.submit(report, session);
    }

    function acknowledge({ epoch, seq }: StoredThrough): void {
      pending--;
      if (seq > 0 && !stream.cancelled) stream.write({ epoch, storedThrough: seq });
      if (stream.isPaused() && pending < MAX_STREAM_REQUESTS / 2) stream.resume();
      finish();
    }

    function fail(error: unknown): void {
      stream.pause();
      reject(error);
    }

    function finish(): void {
      if (!ended || pending > 0 || session.failed) return;
      stream.end();
      resolve();
    }
  });
}
