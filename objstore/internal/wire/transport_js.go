package wire

import (
	"crypto/tls"
	"net/http"
)

// NewTransport returns the transport that is made of the browser's fetch, which has its own idea of everything.
func NewTransport(*tls.Config) http.RoundTripper { return http.DefaultTransport }
