//go:build !js

package wire

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// NewTransport returns a transport for many small requests to one host. tlsConfig may be nil.
func NewTransport(tlsConfig *tls.Config) http.RoundTripper {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       60 * time.Second, // below that of the load balancers of object stores
		DisableCompression:    true,             // ranges are of the bytes as stored
		ForceAttemptHTTP2:     false,            // one TCP connection would carry all the parallel ranges
		ReadBufferSize:        64 << 10,
		WriteBufferSize:       64 << 10,
	}
}
