//go:build !js

package wire

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	// spareLife is how long a connection waits for its first request. Servers close those on which nothing comes, and a request on one that
	// is closed fails.
	spareLife = 4 * time.Second
	// maxSpares bounds the connections to one address that wait for a first request, or are being made for one.
	maxSpares = 64
)

// dialFunc makes a connection.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// spares makes connections before there are requests for them: when the first of a burst that was announced needs one, it makes the others
// meanwhile (see [objstore.AnnounceBurst]). Where that first request finds an idle connection others are likely to be idle, too, and nothing
// is made.
//
//	listing  ──dial──▶ request ───────────▶ answer: 40 files
//	spares   ──dial──▶ ─dial─▶ ─dial─▶ …    40 requests, each on a spare
//
// It makes connections as dial does, for one http.Transport, which has no such thing of its own. TLS's handshake comes when a connection is
// used: made ahead, 48 of them took 22 ms of processor in an opening that needed four requests, and could not go on with the session
// that the first one has negotiated.
type spares struct {
	dial dialFunc

	mu   sync.Mutex
	idle map[string][]*spare // by address, oldest first; guarded by mu
}

// spare is a connection that nobody has asked for yet.
type spare struct {
	made   chan struct{} // closed when the two below are what they will be
	conn   net.Conn
	err    error
	cancel context.CancelFunc
	expire *time.Timer
}

func newSpares(dial dialFunc) *spares {
	return &spares{dial: dial, idle: make(map[string][]*spare)}
}

// connect is what the transport calls when it has no connection for a request.
func (s *spares) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	s.prepare(network, addr, objstore.AnnouncedBurst(ctx))
	for {
		k := s.take(addr)
		if k == nil {
			return s.dial(ctx, network, addr)
		}
		select {
		case <-k.made:
			if k.err == nil {
				return k.conn, nil
			}
		case <-ctx.Done():
			k.discard()
			return nil, context.Cause(ctx)
		}
	}
}

// prepare sees to it that n connections to an address are there, or under way.
func (s *spares) prepare(network, addr string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle[addr]) < min(n, maxSpares) {
		s.idle[addr] = append(s.idle[addr], s.make(network, addr))
	}
}

// make begins to make a connection.
func (s *spares) make(network, addr string) *spare {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	k := &spare{made: make(chan struct{}), cancel: cancel}
	k.expire = time.AfterFunc(spareLife, func() {
		if s.remove(addr, k) {
			k.discard()
		}
	})
	go func() {
		defer cancel()
		defer close(k.made)
		k.conn, k.err = s.dial(ctx, network, addr)
	}()
	return k
}

// take returns the spare connection to an address that is likeliest to be ready, or nil.
func (s *spares) take(addr string) *spare {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.idle[addr]
	if len(list) == 0 {
		return nil
	}
	k := list[0]
	s.setLocked(addr, list[1:])
	k.expire.Stop()
	return k
}

// remove takes one off the list. It is false when it has been taken.
func (s *spares) remove(addr string, k *spare) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.idle[addr] {
		if other == k {
			s.setLocked(addr, append(s.idle[addr][:i:i], s.idle[addr][i+1:]...))
			return true
		}
	}
	return false
}

func (s *spares) setLocked(addr string, list []*spare) {
	if len(list) == 0 {
		delete(s.idle, addr)
		return
	}
	s.idle[addr] = list
}

// discard closes a connection that nobody will use, now or when it is made. It does not wait.
func (k *spare) discard() {
	k.expire.Stop()
	k.cancel()
	go func() {
		<-k.made
		if k.conn != nil {
			k.conn.Close()
		}
	}()
}

// close gives up all that nobody has asked for.
func (s *spares) close() {
	s.mu.Lock()
	lists := s.idle
	s.idle = make(map[string][]*spare)
	s.mu.Unlock()
	for _, list := range lists {
		for _, k := range list {
			k.discard()
		}
	}
}
