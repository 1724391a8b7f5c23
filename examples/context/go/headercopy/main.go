// Header copy: `go run .`, with PORT, BACK_URL and BEHALF_PORTS in the environment. Standard library only.
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // the sidecar is on this machine
	transport.MaxIdleConnsPerHost = 32
	client := &http.Client{Transport: Pass{transport}}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), Keep(service(client))))
}
