//go:build !js

package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// While the first request of a burst waits for its answer connections are made for the others, and those use them.
func TestTransport_Burst(t *testing.T) {
	t.Parallel()
	const n = 12
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			var opened, closed atomic.Int64
			gone := make(chan struct{}, 4*n)
			made := make(chan struct{}, 4*n) // one for each connection that is ready for a request
			var burst sync.WaitGroup
			burst.Add(n)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/list":
					for range n {
						<-made // for ever, when they are not made
					}
				case "/burst":
					burst.Done()
					burst.Wait() // all at once: each has a connection of its own
				}
			}))
			count := connStates(&opened, &closed, gone)
			server.Config.ConnState = func(c net.Conn, s http.ConnState) {
				count(c, s)
				if s == http.StateNew {
					made <- struct{}{}
				}
			}
			if scheme == "https" {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			transport := NewTransport(&tls.Config{InsecureSkipVerify: true})
			client := &http.Client{Transport: transport}
			defer client.CloseIdleConnections()

			get(t, objstore.AnnounceBurst(t.Context(), n), client, server.URL+"/list")
			var all sync.WaitGroup
			for range n {
				all.Go(func() { get(t, t.Context(), client, server.URL+"/burst") })
			}
			all.Wait()
			if got := opened.Load(); got != n {
				t.Errorf("%d connections for a burst of %d, after a request of its own", got, n)
			}

			// With connections that wait for requests an announcement makes no more.
			get(t, objstore.AnnounceBurst(t.Context(), 3*n), client, server.URL+"/")
			if got := opened.Load(); got != n {
				t.Errorf("%d connections, where %d were idle", got, n)
			}
		})
	}
}

func get(t *testing.T, ctx context.Context, client *http.Client, url string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
		return
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	resp.Body.Close()
}

// dialer makes connections that are good for nothing, and counts them.
type dialer struct {
	open  atomic.Int64
	calls atomic.Int64
	fails func(call int64) error // nil: never
	takes time.Duration
}

type deadConn struct {
	net.Conn
	d    *dialer
	once sync.Once
}

func (c *deadConn) Close() error {
	c.once.Do(func() { c.d.open.Add(-1) })
	return nil
}

func (d *dialer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	n := d.calls.Add(1)
	select {
	case <-time.After(d.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d.fails != nil {
		if err := d.fails(n); err != nil {
			return nil, err
		}
	}
	d.open.Add(1)
	return &deadConn{d: d}, nil
}

func burstOf(n int) context.Context { return objstore.AnnounceBurst(context.Background(), n) }

// Spares that nobody asks for end, those of one address are not used for another, and closing ends also what is being made.
func TestSpares(t *testing.T) {
	t.Parallel()
	const a, b = "a:443", "b:443"
	run := func(name string, d *dialer, f func(t *testing.T, s *spares)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSpares(d.dial)
				f(t, s)
				s.close()
				synctest.Wait()
				if n := d.open.Load(); n != 0 {
					t.Errorf("%d connections are left", n)
				}
			})
		})
	}
	connect := func(t *testing.T, s *spares, ctx context.Context, addr string) net.Conn {
		t.Helper()
		c, err := s.connect(ctx, "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	d := &dialer{takes: 50 * time.Millisecond}
	run("used within their life", d, func(t *testing.T, s *spares) {
		defer connect(t, s, burstOf(3), a).Close()
		began := time.Now()
		for range 2 {
			defer connect(t, s, t.Context(), a).Close()
		}
		if took := time.Since(began); took != 0 || d.calls.Load() != 3 {
			t.Errorf("two connections took %v and %d were made", took, d.calls.Load())
		}
		defer connect(t, s, t.Context(), a).Close()
		defer connect(t, s, t.Context(), b).Close()
		if d.calls.Load() != 5 {
			t.Errorf("%d connections were made, not 5", d.calls.Load())
		}
	})
	d = &dialer{takes: 50 * time.Millisecond}
	run("not used", d, func(t *testing.T, s *spares) {
		c := connect(t, s, burstOf(10), a)
		time.Sleep(spareLife)
		synctest.Wait()
		if n := d.open.Load(); n != 1 {
			t.Errorf("%d connections are open, of which one is used", n)
		}
		c.Close()
	})
	d = &dialer{takes: time.Second}
	run("closed while they are made", d, func(t *testing.T, s *spares) {
		ctx, cancel := context.WithTimeout(burstOf(10), time.Millisecond)
		defer cancel()
		if _, err := s.connect(ctx, "tcp", a); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	d = &dialer{}
	run("at most so many", d, func(t *testing.T, s *spares) {
		for range 3 {
			defer connect(t, s, burstOf(1000), a).Close()
		}
		synctest.Wait()
		if n := d.calls.Load(); n > maxSpares+3 {
			t.Errorf("%d connections were made", n)
		}
	})
	broken := errors.New("unreachable")
	d = &dialer{fails: func(call int64) error {
		if call <= 4 {
			return fmt.Errorf("call %d: %w", call, broken)
		}
		return nil
	}}
	run("spares that failed are nobody's trouble", d, func(t *testing.T, s *spares) {
		connect(t, s, burstOf(4), a).Close()
	})
	d = &dialer{fails: func(int64) error { return broken }}
	run("what cannot be reached is an error", d, func(t *testing.T, s *spares) {
		if _, err := s.connect(burstOf(4), "tcp", a); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}
