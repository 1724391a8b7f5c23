"""Passes Delegation-Context on: WSGI middleware that keeps it, and an `open_url` that sends it with calls to the sidecar.

Standard library only. In other threads run the work by `contextvars.copy_context().run`.
"""

import contextvars
import os
import urllib.parse
import urllib.request

_handle = contextvars.ContextVar("delegation_context", default=None)
_ports = {int(port) for port in os.environ.get("BEHALF_PORTS", "").split(",") if port}
# No proxy: the sidecar is on this machine, and the handle goes nowhere else.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def middleware(app):
    """Keeps the handle of each request while the app works for it."""

    def wrapped(environ, start_response):
        token = _handle.set(environ.get("HTTP_DELEGATION_CONTEXT"))
        try:
            yield from app(environ, start_response)
        finally:
            _handle.reset(token)

    return wrapped


def open_url(request, timeout=10):
    """`urllib.request.urlopen`, with the handle on calls to the sidecar's ports; one that is there already stays."""
    url = urllib.parse.urlsplit(request.full_url)
    handle = _handle.get()
    if handle and url.hostname in ("127.0.0.1", "localhost") and url.port in _ports:
        if not request.has_header("Delegation-context"):
            request.add_unredirected_header("Delegation-context", handle)
    return _opener.open(request, timeout=timeout)
