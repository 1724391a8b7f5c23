"""A service that works for a moment, calls the next one, and gives its answer back. `/forget…` loses its context on the way."""

import contextvars
import os
import random
import socketserver
import time
import urllib.error
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


class ThreadedServer(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def serve(open_url, wrap):
    """`open_url` makes the call out; `wrap` is the middleware."""

    def app(environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        time.sleep(random.random() * 0.02)
        path = environ["PATH_INFO"] + "?" + environ["QUERY_STRING"]
        request = urllib.request.Request(os.environ["BACK_URL"] + path, data=body, method="POST")
        run = contextvars.Context().run if path.startswith("/forget") else lambda call: call()
        status, answer = run(lambda: send(request))
        start_response(f"{status} Answer", [("Content-Length", str(len(answer)))])
        return [answer]

    def send(request):
        try:
            with open_url(request) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()
        except OSError:
            return 502, b"no answer"

    port = int(os.environ["PORT"])
    make_server("127.0.0.1", port, wrap(app), ThreadedServer, QuietHandler).serve_forever()
