import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { errorsPage } from './docs-page.ts';
import { decodeErrorInfo, errorOfGrpcAnswer, grpcAnswerOf } from './grpc-status.ts';
import { BehalfError, ERROR_TABLE, type ErrorCode, GRPC_STATUS, problemBody, problemOf } from './index.ts';

const codes = Object.keys(ERROR_TABLE) as ErrorCode[];

test('docs/errors.md is what the table makes', () => {
  expect(readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8')).toBe(errorsPage());
});

test('every code is snake_case and stands once on the page', () => {
  for (const code of codes) {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(errorsPage().split(`<a id="${code}"></a>`)).toHaveLength(2);
  }
});

test('every code survives the way through a gRPC answer, with its facts and hop', () => {
  for (const code of codes) {
    const answer = grpcAnswerOf(
      new BehalfError(code, { route: 'GET /orders/{id}', missing: ['a', 'b'], n: 3 }),
      'hop-1',
    );
    expect(answer.status).toBe(GRPC_STATUS[ERROR_TABLE[code].grpc]);
    const back = errorOfGrpcAnswer(answer.status, answer.message, answer.details);
    expect(back.code).toBe(code);
    expect(back.detail).toEqual({ hop: 'hop-1', route: 'GET /orders/{id}', missing: 'a b', n: '3' });
  }
});

test('an independent protobuf reader understands our status', () => {
  const directory = fileURLToPath(new URL('./testdata', import.meta.url));
  const definition = loadSync('error_details.proto', { includeDirs: [directory] });
  const decode = (name: string, bytes: Buffer): Record<string, unknown> => {
    const found = definition[name] as MessageTypeDefinition<object, object>;
    return found.deserialize(bytes) as Record<string, unknown>;
  };
  const { details } = grpcAnswerOf(new BehalfError('policy_denied', { policy: 'p1' }), 'h');
  const status = decode('google.rpc.Status', details);
  expect(status).toMatchObject({ code: 7 });
  const [any] = status['details'] as { type_url?: string; typeUrl?: string; value: Buffer }[];
  expect(any?.typeUrl).toBe('type.googleapis.com/google.rpc.ErrorInfo');
  expect(decode('google.rpc.ErrorInfo', any!.value)).toEqual({
    reason: 'policy_denied',
    domain: 'behalf',
    metadata: { hop: 'h', policy: 'p1' },
  });
});

test('answers without our ErrorInfo keep only the meaning of the transport', () => {
  expect(errorOfGrpcAnswer(14, 'no connection', null).code).toBe('upstream_unavailable');
  expect(errorOfGrpcAnswer(1, 'cancelled', null).code).toBe('upstream_unavailable');
  expect(errorOfGrpcAnswer(4, 'deadline', null).code).toBe('upstream_timeout');
  expect(errorOfGrpcAnswer(7, 'no', null).code).toBe('internal');
  expect(errorOfGrpcAnswer(7, 'no', Buffer.from([0x1a, 0xff])).code).toBe('internal');
});

test('no bytes make the status reader throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const info = decodeErrorInfo(bytes);
      expect(info === null || typeof info.reason === 'string').toBe(true);
    }),
  );
  const { details } = grpcAnswerOf(new BehalfError('internal', { a: 'b' }));
  for (let cut = 0; cut < details.length; cut += 1) decodeErrorInfo(details.subarray(0, cut));
});

test('a problem body is RFC 9457 JSON with code and hop', () => {
  const error = new BehalfError('insufficient_scope', { missing: ['orders:write'] });
  expect(JSON.parse(problemBody(error, 'h1').toString())).toEqual(problemOf(error, 'h1'));
  expect(problemOf(error, null)).toMatchObject({
    type: 'urn:behalf:error:insufficient_scope',
    status: 403,
    code: 'insufficient_scope',
    hop: null,
  });
});
