// A reverse proxy as Go's standard library has it, taking turns between backends.
//
//	go_proxy CERT_FILE|- KEY_FILE|- LISTEN_ADDRESS BACKEND_ADDRESS...
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"os"
	"sync/atomic"
)

func main() {
	if len(os.Args) < 5 {
		log.Fatal("usage: go_proxy CERT_FILE|- KEY_FILE|- LISTEN_ADDRESS BACKEND_ADDRESS...")
	}
	cert, key, address, backends := os.Args[1], os.Args[2], os.Args[3], os.Args[4:]
	scheme := "http"
	if cert != "-" {
		scheme = "https"
	}
	var next uint64

	proxy := &httputil.ReverseProxy{
		// ReverseProxy adds X-Forwarded-For by itself.
		Director: func(request *http.Request) {
			turn := atomic.AddUint64(&next, 1)
			request.URL.Scheme = "http"
			request.URL.Host = backends[turn%uint64(len(backends))]
			request.Header.Set("X-Forwarded-Proto", scheme)
			request.Header.Set("X-Forwarded-Host", request.Host)
		},
		Transport: &http.Transport{
			MaxIdleConns:        512,
			MaxIdleConnsPerHost: 256,
			DisableCompression:  true,
		},
	}
	if cert == "-" {
		log.Fatal(http.ListenAndServe(address, proxy))
	}
	log.Fatal(http.ListenAndServeTLS(address, cert, key, proxy))
}
