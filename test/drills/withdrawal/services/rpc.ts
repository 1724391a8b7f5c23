/** A gRPC service without security code: `Chat` is a bidirectional stream that ticks every 50 ms until someone ends it. */
import * as grpc from '@grpc/grpc-js';

export const CHAT: grpc.MethodDefinition<Buffer, Buffer> = {
  path: '/drill.Rpc/Chat',
  requestStream: true,
  responseStream: true,
  requestSerialize: (value) => value,
  requestDeserialize: (value) => value,
  responseSerialize: (value) => value,
  responseDeserialize: (value) => value,
};

if (import.meta.main) {
  const server = new grpc.Server();
  server.addService(
    { chat: CHAT },
    {
      chat(stream: grpc.ServerDuplexStream<Buffer, Buffer>) {
        const ticker = setInterval(() => stream.write(Buffer.from(`${Date.now()}\n`)), 50);
        const stop = (): void => clearInterval(ticker);
        stream.on('data', (said: Buffer) => stream.write(said));
        stream.on('end', () => stream.end());
        stream.on('cancelled', stop);
        stream.on('close', stop);
        stream.on('error', stop);
      },
    },
  );
  const address = `127.0.0.1:${process.env['PORT']}`;
  server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error !== null) throw error;
  });
}
