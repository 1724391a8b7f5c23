/** The payments service as its .proto says, for the service and its clients. */
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

export interface ChargeRequest {
  readonly orderId: string;
  readonly owner: string;
  readonly amount: number;
}
export interface Receipt {
  readonly receipt: string;
}
export interface Terms {
  readonly currencies: readonly string[];
  readonly fee: number;
}
export interface EchoedUser {
  readonly subject: string;
  readonly scopes: readonly string[];
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// The second folder has the options that the proto imports; a service of your own keeps a copy of that one file.
const loaded = grpc.loadPackageDefinition(
  loadSync(here('payments.proto'), { includeDirs: [here('../../proto')], defaults: true, arrays: true }),
);

/** The generated client class; its `service` is the definition that servers take. */
export const PaymentsClient = packageOf(packageOf(packageOf(loaded, 'shop'), 'payments'), 'v1')[
  'Payments'
] as grpc.ServiceClientConstructor;

function packageOf(within: grpc.GrpcObject, name: string): grpc.GrpcObject {
  return within[name] as grpc.GrpcObject;
}
