// A CommonJS app whose server runs in a worker thread: answers with the context that its own call to ECHO_HTTP carried.
const http = require('node:http');
const { isMainThread, parentPort, Worker } = require('node:worker_threads');

if (isMainThread) {
  const worker = new Worker(__filename);
  worker.on('message', (port) => console.log(JSON.stringify({ port })));
  process.on('disconnect', () => process.exit());
} else {
  const server = http.createServer((request, response) => {
    setTimeout(() => http.get(process.env.ECHO_HTTP, (answer) => answer.pipe(response)), 1);
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
}
