/** Payments as its callers in the shop use it: promises, and refusals as HTTP answers. */
import grpc, { type ServiceError } from '@grpc/grpc-js';
import { HttpError } from '../http/router.ts';
import { type ChargeRequest, type EchoedUser, PaymentsClient, type Receipt, type Terms } from './payments-proto.ts';

const DEADLINE_MS = 10_000;
const STATUS_OF: Readonly<Record<number, number>> = {
  [grpc.status.INVALID_ARGUMENT]: 400,
  [grpc.status.UNAUTHENTICATED]: 401,
  [grpc.status.PERMISSION_DENIED]: 403,
  [grpc.status.NOT_FOUND]: 404,
  [grpc.status.RESOURCE_EXHAUSTED]: 429,
  [grpc.status.UNAVAILABLE]: 503,
  [grpc.status.DEADLINE_EXCEEDED]: 504,
};

export interface Payments {
  charge(request: ChargeRequest): Promise<Receipt>;
  refund(request: ChargeRequest): Promise<Receipt>;
  terms(request: object): Promise<Terms>;
  echoUser(request: object): Promise<EchoedUser>;
  close(): void;
}

/** Connects to `host:port`. Calls may be given metadata of their own. */
export function connectPayments(
  address: string,
  metadataOf: () => grpc.Metadata = () => new grpc.Metadata(),
): Payments {
  const client = new PaymentsClient(address, grpc.credentials.createInsecure());
  const unary =
    <S>(method: string) =>
    (request: object): Promise<S> =>
      new Promise((resolve, reject) => {
        const send = client[method] as (
          request: object,
          metadata: grpc.Metadata,
          options: grpc.CallOptions,
          done: (error: ServiceError | null, answer: S) => void,
        ) => void;
        const done = (error: ServiceError | null, answer: S) => (error === null ? resolve(answer) : reject(error));
        send.call(client, request, metadataOf(), { deadline: Date.now() + DEADLINE_MS }, done);
      });
  return {
    charge: unary('Charge'),
    refund: unary('Refund'),
    terms: unary('Terms'),
    echoUser: unary('EchoUser'),
    close: () => client.close(),
  };
}

/** For `catch`: passes a refusal of payments, or of the mesh before it, on to the HTTP client. */
export function httpErrorOf(error: ServiceError): never {
  throw new HttpError(STATUS_OF[error.code] ?? 502, {
    error: error.details,
    grpcStatus: error.code,
    // The mesh's refusals begin with their code.
    code: /^([a-z_]+):/.exec(error.details)?.[1] ?? null,
  });
}
