package wire

import (
	"net/http"
	"sync"
	"sync/atomic"
)

// connections are those of the process, for all stores without settings of their own: who opens the second of a thousand databases
// in one bucket finds connections that are ready.
var connections = sync.OnceValue(func() *pool { return &pool{next: NewTransport(nil)} })

// Shared returns a transport over the connections of the process.
func Shared() http.RoundTripper { return connections().join() }

// pool is a transport that several have the use of.
type pool struct {
	next  http.RoundTripper
	users atomic.Int64 // members that have made requests and not let go since
}

func (p *pool) join() *member { return &member{pool: p} }

// member is one of those who share a pool.
type member struct {
	pool *pool
	uses atomic.Bool
}

func (m *member) RoundTrip(req *http.Request) (*http.Response, error) {
	if !m.uses.Load() && m.uses.CompareAndSwap(false, true) {
		m.pool.users.Add(1)
	}
	return m.pool.next.RoundTrip(req)
}

// CloseIdleConnections lets go of the connections. They are closed when all members have.
func (m *member) CloseIdleConnections() {
	if !m.uses.CompareAndSwap(true, false) || m.pool.users.Add(-1) > 0 {
		return
	}
	if closer, ok := m.pool.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}
