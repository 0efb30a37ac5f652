//go:build !js

package wire

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// idleConnections is how many connections wait for the next burst of requests: as many as a process has requests under
// way, and some for second requests. One more would have to be made anew, with two or three round trips.
const idleConnections = 80

// NewTransport returns a transport for many small requests to one host. tlsConfig may be nil.
func NewTransport(tlsConfig *tls.Config) http.RoundTripper {
	if tlsConfig == nil {
		tlsConfig = new(tls.Config)
	}
	if tlsConfig.ClientSessionCache == nil { // a new connection goes on with what an earlier one has negotiated
		tlsConfig = tlsConfig.Clone()
		tlsConfig.ClientSessionCache = tls.NewLRUClientSessionCache(idleConnections)
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   idleConnections,
		IdleConnTimeout:       60 * time.Second, // below that of the load balancers of object stores
		DisableCompression:    true,             // ranges are of the bytes as stored
		ForceAttemptHTTP2:     false,            // one TCP connection would carry all the parallel ranges
		ReadBufferSize:        64 << 10,
		WriteBufferSize:       64 << 10,
	}
}
