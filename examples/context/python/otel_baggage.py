"""OpenTelemetry baggage: nothing here knows of Behalf. `pip install -r requirements.txt`."""

import urllib.request

from opentelemetry import trace
from opentelemetry.instrumentation.urllib import URLLibInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from service import serve

trace.set_tracer_provider(TracerProvider())
URLLibInstrumentor().instrument()
serve(lambda request: urllib.request.urlopen(request, timeout=10), OpenTelemetryMiddleware)
