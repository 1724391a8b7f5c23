package main

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
)

const header = "Delegation-Context"

type key struct{}

// Keep puts the handle of each request into its context.
func Keep(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, r.Header.Get(header))))
	})
}

// Pass sends the handle of a request's context with calls to the sidecar's ports; one that is there already stays.
type Pass struct{ Base http.RoundTripper }

var ports = strings.Split(os.Getenv("BEHALF_PORTS"), ",")

func (p Pass) RoundTrip(r *http.Request) (*http.Response, error) {
	handle, _ := r.Context().Value(key{}).(string)
	host := r.URL.Hostname()
	local := (host == "127.0.0.1" || host == "localhost") && slices.Contains(ports, r.URL.Port())
	if handle != "" && local && r.Header.Get(header) == "" {
		r = r.Clone(r.Context())
		r.Header.Set(header, handle)
	}
	return p.Base.RoundTrip(r)
}
