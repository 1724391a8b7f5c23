// OpenTelemetry baggage: nothing here knows of Behalf. Go has no default propagator: it is set here.
package main

import (
	"log"
	"net/http"
	"os"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	otel.SetTracerProvider(trace.NewTracerProvider())
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // the sidecar is on this machine
	transport.MaxIdleConnsPerHost = 32
	client := &http.Client{Transport: otelhttp.NewTransport(transport)}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), otelhttp.NewHandler(service(client), "service")))
}
