// An app that keeps callbacks in a pool of its own: who gives a place back calls who waits, in the wrong context.
const http = require('node:http');

let free = 2;
const waiting = [];
const acquire = (then) => (free > 0 ? (free--, then()) : void waiting.push(then));
const release = () => {
  const next = waiting.shift();
  if (next === undefined) free++;
  else next();
};

http
  .createServer((incoming, answer) => {
    incoming.resume().on('end', () =>
      acquire(() =>
        http.get(`${process.env.UPSTREAM_URL}${incoming.url}`, (response) => {
          response.pipe(answer);
          response.on('end', release);
        }),
      ),
    );
  })
  .listen(Number(process.env.PORT), '127.0.0.1');
