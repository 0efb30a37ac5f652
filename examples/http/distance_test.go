package main

import (
	"testing"

	"github.com/litefs-s3/litefs-s3/examples/internal/world"
	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
)

// distant is a MinIO behind a proxy that can stop answering.
type distant struct {
	w     *world.World
	proxy *slowproxy.Proxy
}

func distance(t *testing.T, w *world.World) *distant {
	t.Helper()
	proxy, err := slowproxy.New(w.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	return &distant{w, proxy}
}

func (d *distant) start(t *testing.T, prefix string, args ...string) *world.Process {
	t.Helper()
	s3 := d.w.S3
	s3.Endpoint = d.proxy.URL()
	return d.w.Start(t, append([]string{"-replica", s3.URL(d.w.Name, prefix), "-addr", "127.0.0.1:0"}, args...)...)
}

func (d *distant) hang() { d.proxy.Set(slowproxy.Settings{HangRate: 1}) }
