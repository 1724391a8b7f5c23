// `grpc-status.ts` is imported by itself, by those who speak gRPC: pure parts then load no protobuf library.
export { BehalfError, codeOf, type ErrorDetail } from './behalf-error.ts';
export { PROBLEM_CONTENT_TYPE, type Problem, problemBody, problemOf } from './problem.ts';
export {
  ERROR_TABLE,
  type ErrorCode,
  type ErrorEntry,
  GRPC_STATUS,
  type GrpcStatusName,
  isErrorCode,
} from './table.ts';
