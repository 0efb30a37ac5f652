package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
)

// traffic is what the proxy has seen since its counters were reset.
type traffic struct {
	Stats      slowproxy.Stats
	Transcript []slowproxy.Request
	Since      time.Time // of the reset
}

func (t *traffic) gets() int {
	return t.Stats.Requests[slowproxy.Get] + t.Stats.Requests[slowproxy.GetRange]
}

func (t *traffic) lists() int { return t.Stats.Requests[slowproxy.List] }

// control lets the processes that measure look at the proxy, which is in this one.
type control struct {
	proxy  *slowproxy.Proxy
	since  atomic.Pointer[time.Time] // of the last reset
	server *http.Server
	url    string
}

// newControl serves on a loopback port. Close it.
func newControl(proxy *slowproxy.Proxy) (*control, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("control of the proxy: %w", err)
	}
	c := &control{proxy: proxy, url: "http://" + listener.Addr().String()}
	c.since.Store(new(time.Now()))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reset", c.reset)
	mux.HandleFunc("GET /traffic", c.traffic)
	c.server = &http.Server{Handler: mux}
	go c.server.Serve(listener) // ends with Close
	return c, nil
}

func (c *control) close() error { return c.server.Close() }

func (c *control) reset(http.ResponseWriter, *http.Request) {
	c.proxy.Reset()
	c.since.Store(new(time.Now()))
}

func (c *control) traffic(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(traffic{c.proxy.Stats(), c.proxy.Transcript(), *c.since.Load()}) // a reader that is gone misses nothing
}

// counters is the other end of a control.
type counters struct{ url string }

// reset waits until no request is in flight and sets the counters to zero.
func (c counters) reset(ctx context.Context) error {
	if _, err := c.read(ctx); err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, "/reset", nil)
}

// read waits until no request is in flight and returns what was counted.
func (c counters) read(ctx context.Context) (*traffic, error) {
	const patience = 10 * time.Second
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		t, err := c.now(ctx)
		if err != nil || t.Stats.InFlight == 0 {
			return t, err
		}
		if time.Since(start) > patience {
			return nil, fmt.Errorf("%d requests are still in flight %s after the measurement", t.Stats.InFlight, patience)
		}
	}
}

// now returns what is counted so far.
func (c counters) now(ctx context.Context) (*traffic, error) {
	t := new(traffic)
	return t, c.call(ctx, http.MethodGet, "/traffic", t)
}

func (c counters) call(ctx context.Context, method, path string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("counters of the proxy: %w", err)
	}
	defer resp.Body.Close()
	if answer == nil || resp.StatusCode != http.StatusOK {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("counters of the proxy: %w", err)
	}
	return nil
}
