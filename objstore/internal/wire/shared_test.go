package wire

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// Stores share connections, and the last one to let go closes them.
func TestPool(t *testing.T) {
	t.Parallel()
	var opened, closed atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	gone := make(chan struct{}, 10)
	server.Config.ConnState = connStates(&opened, &closed, gone)
	server.Start()
	defer server.Close()

	p := &pool{next: NewTransport(nil)}
	a, b := p.join(), p.join()
	get := func(m *member) {
		t.Helper()
		resp, err := (&http.Client{Transport: m}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	get(a)
	get(b)
	a.CloseIdleConnections()
	a.CloseIdleConnections() // twice is once
	get(b)
	if opened.Load() != 1 || closed.Load() != 0 {
		t.Fatalf("%d connections opened and %d closed while one store uses them; want 1 and 0", opened.Load(), closed.Load())
	}
	get(a)
	b.CloseIdleConnections()
	a.CloseIdleConnections()
	<-gone
	get(b)
	if opened.Load() != 2 {
		t.Errorf("%d connections opened after all had let go, want 2", opened.Load())
	}
	b.CloseIdleConnections()
	<-gone
}

// connStates counts connections; gone is told of each that is closed.
func connStates(opened, closed *atomic.Int64, gone chan<- struct{}) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed.Add(1)
			gone <- struct{}{}
		}
	}
}
