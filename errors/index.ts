export { BehalfError, codeOf, type ErrorDetail } from './behalf-error.ts';
export { ERROR_TABLE, type ErrorCode, type ErrorEntry, GRPC_STATUS, type GrpcStatusName, isErrorCode } from './table.ts';
