//go:build !js

package wire

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

const (
	// idleConnections is how many connections wait for the next burst of requests: as many as a process has requests under
	// way, and some for second requests. One more would have to be made anew, with two or three round trips.
	idleConnections = 80
	// dialTimeout bounds the first step of making a connection.
	dialTimeout = 10 * time.Second
	// readBuffer is what each connection has for what it reads. What is longer goes past it, right to where it belongs, and with
	// idleConnections a larger one is memory that does nothing.
	readBuffer = 16 << 10
)

// transport is an http.Transport that makes connections for a burst of requests when the first of it comes.
type transport struct {
	*http.Transport
	spares *spares
}

// NewTransport returns a transport for many small requests to one host. tlsConfig may be nil.
func NewTransport(tlsConfig *tls.Config) http.RoundTripper {
	if tlsConfig == nil {
		tlsConfig = new(tls.Config)
	}
	if tlsConfig.ClientSessionCache == nil { // a new connection goes on with what an earlier one has negotiated
		tlsConfig = tlsConfig.Clone()
		tlsConfig.ClientSessionCache = tls.NewLRUClientSessionCache(idleConnections)
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	t := &transport{spares: newSpares(dialer.DialContext)}
	t.Transport = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           t.spares.connect,
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   idleConnections,
		IdleConnTimeout:       60 * time.Second, // below that of the load balancers of object stores
		DisableCompression:    true,             // ranges are of the bytes as stored
		ForceAttemptHTTP2:     false,            // one TCP connection would carry all the parallel ranges
		ReadBufferSize:        readBuffer,
	}
	return t
}

// CloseIdleConnections closes those that wait for a request, whether they have had one or not.
func (t *transport) CloseIdleConnections() {
	t.spares.close()
	t.Transport.CloseIdleConnections()
}
