package main

import (
	"context"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strings"
	"time"
)

// service works for a moment, calls the next one with the request's context, and gives its answer back. `/forget…` calls
// without it.
func service(client *http.Client) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		time.Sleep(time.Duration(rand.Intn(20)) * time.Millisecond)
		ctx := r.Context()
		if strings.HasPrefix(r.URL.Path, "/forget") {
			ctx = context.Background()
		}
		call, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("BACK_URL")+r.URL.RequestURI(), strings.NewReader(string(body)))
		if err != nil {
			http.Error(w, "no such call", http.StatusBadRequest)
			return
		}
		response, err := client.Do(call)
		if err != nil {
			http.Error(w, "no answer", http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
	})
}
