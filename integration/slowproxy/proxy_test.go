package slowproxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
)

// object is the body of every answer of the stand-in server.
var object = bytes.Repeat([]byte("0123456789abcdef"), 8<<10) // 128 KiB

// start starts a stand-in server with a proxy before it.
func start(t *testing.T) (*slowproxy.Proxy, *http.Client) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		switch {
		case r.Method == http.MethodPut || r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		default:
			http.ServeContent(w, r, "object", time.Time{}, bytes.NewReader(object))
		}
	}))
	t.Cleanup(server.Close)
	proxy, err := slowproxy.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return proxy, &http.Client{Transport: transport}
}

// do sends a request and reads the whole answer.
func do(ctx context.Context, c *http.Client, method, url string, header ...string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPut {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader("hello")), 5
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return data, err
}

// must is do for what has to succeed.
func must(t *testing.T, c *http.Client, method, url string, header ...string) []byte {
	t.Helper()
	data, err := do(t.Context(), c, method, url, header...)
	if err != nil {
		t.Errorf("%s %s: %v", method, url, err)
	}
	return data
}

func TestProxy_CountsByKind(t *testing.T) {
	t.Parallel()
	proxy, client := start(t)
	u := proxy.URL()
	if got := must(t, client, "GET", u+"/b/app/0000/x.ltx"); !bytes.Equal(got, object) {
		t.Errorf("got %d bytes, want %d", len(got), len(object))
	}
	if got := must(t, client, "GET", u+"/b/app/0000/x.ltx", "Range: bytes=16-19"); string(got) != "0123" {
		t.Errorf("got %q", got)
	}
	must(t, client, "GET", u+"/b?list-type=2&prefix=app%2F", "Range: bytes=0-0")
	must(t, client, "HEAD", u+"/b/k")
	must(t, client, "PUT", u+"/b/k")
	must(t, client, "DELETE", u+"/b/k")
	must(t, client, "POST", u+"/b?delete", "Range: bytes=0-0")
	must(t, client, "POST", u+"/b/k?uploads", "Range: bytes=0-0")

	stats := proxy.Stats()
	want := map[slowproxy.Kind]int{
		slowproxy.Get: 1, slowproxy.GetRange: 1, slowproxy.List: 1, slowproxy.Head: 1, slowproxy.Put: 1,
		slowproxy.Delete: 2, slowproxy.Post: 1,
	}
	for kind, n := range want {
		if stats.Requests[kind] != n {
			t.Errorf("%s: %d requests, want %d", kind, stats.Requests[kind], n)
		}
	}
	if stats.Total() != 8 || stats.Waves != 8 || stats.Depth != 8 || stats.InFlight != 0 || stats.InFlightMax != 1 {
		t.Errorf("stats are %+v", stats)
	}
	if stats.BytesOf[slowproxy.GetRange] != 4 || stats.BytesOf[slowproxy.Get] != int64(len(object)) || stats.BytesIn != 5 {
		t.Errorf("bytes are %+v", stats)
	}
	checkTranscript(t, proxy.Transcript())
	proxy.Reset()
	if stats := proxy.Stats(); stats.Total() != 0 || stats.Waves != 0 || len(proxy.Transcript()) != 0 {
		t.Errorf("after a reset: %+v", stats)
	}
}

// checkTranscript checks the transcript of TestProxy_CountsByKind.
func checkTranscript(t *testing.T, lines []slowproxy.Request) {
	t.Helper()
	if len(lines) != 8 {
		t.Fatalf("%d lines, want 8", len(lines))
	}
	ranged, listing := lines[1], lines[2]
	ranged.Start, ranged.End = 0, 0
	if want := (slowproxy.Request{
		Kind: slowproxy.GetRange, Bucket: "b", Key: "app/0000/x.ltx", Range: "bytes=16-19", Status: 206, Out: 4,
		Wave: 2, Depth: 2,
	}); ranged != want {
		t.Errorf("range GET is %v", ranged)
	}
	if listing.Kind != slowproxy.List || listing.Key != "app/" {
		t.Errorf("listing is %v", listing)
	}
	for i, r := range lines {
		if r.End < r.Start || i > 0 && r.Start < lines[i-1].End || r.Wave != i+1 {
			t.Errorf("line %d is %v", i, r)
		}
	}
}

func TestProxy_Waves(t *testing.T) {
	t.Parallel()
	const side = 8 // requests side by side
	proxy, client := start(t)
	for range 3 {
		var arrived sync.WaitGroup
		arrived.Add(side)
		proxy.Set(slowproxy.Settings{Inject: func(slowproxy.Request) slowproxy.Fault {
			arrived.Done()
			arrived.Wait() // no answer before all have arrived
			return slowproxy.NoFault
		}})
		var wg sync.WaitGroup
		for range side {
			wg.Go(func() { must(t, client, "GET", proxy.URL()+"/b/k") })
		}
		wg.Wait()
	}
	if stats := proxy.Stats(); stats.Waves != 3 || stats.Depth != 3 || stats.Total() != 3*side || stats.InFlightMax != side {
		t.Errorf("stats are %+v", stats)
	}
}

func TestProxy_DepthSeesThroughOverlap(t *testing.T) {
	t.Parallel()
	proxy, client := start(t)
	long := make(chan struct{})
	proxy.Set(slowproxy.Settings{Inject: func(r slowproxy.Request) slowproxy.Fault {
		if r.Key == "long" {
			close(long)
			return slowproxy.Hang
		}
		return slowproxy.NoFault
	}})
	ctx, cancel := context.WithCancel(t.Context())
	hung := make(chan error)
	go func() {
		_, err := do(ctx, client, "GET", proxy.URL()+"/b/long")
		hung <- err
	}()
	<-long
	for range 5 { // one after another, beside the long one
		must(t, client, "GET", proxy.URL()+"/b/k")
	}
	if stats := proxy.Stats(); stats.Waves != 1 || stats.Depth != 5 || stats.InFlight != 1 {
		t.Errorf("stats are %+v", stats)
	}
	cancel()
	if err := <-hung; !errors.Is(err, context.Canceled) {
		t.Errorf("the hanging request ended with %v", err)
	}
}

func TestProxy_LatencyIsExact(t *testing.T) {
	t.Parallel()
	proxy, client := start(t)
	for _, latency := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond} {
		proxy.Set(slowproxy.Settings{Latency: latency})
		best := time.Hour // a busy machine may be late at times, but not always
		for range 20 {
			begin := time.Now()
			must(t, client, "GET", proxy.URL()+"/b/k", "Range: bytes=0-0")
			took := time.Since(begin)
			if took < latency {
				t.Errorf("latency %s: answered after %s", latency, took)
			}
			best = min(best, took-latency)
		}
		t.Logf("latency %s: at best %s more", latency, best)
	}
}

// The first request on a connection comes late, from when the connection was made on, and those after it do not.
func TestProxy_Handshake(t *testing.T) {
	t.Parallel()
	proxy, client := start(t)
	const handshake = 300 * time.Millisecond
	proxy.Set(slowproxy.Settings{Handshake: handshake})
	took := func() time.Duration {
		begin := time.Now()
		must(t, client, "GET", proxy.URL()+"/b/k", "Range: bytes=0-0")
		return time.Since(begin)
	}
	if first := took(); first < handshake {
		t.Errorf("the first request took %s", first)
	}
	best := time.Hour // a busy machine may be late at times, but not always
	for range 20 {
		best = min(best, took())
	}
	if best >= handshake {
		t.Errorf("requests on an open connection took %s", best)
	}
}

func TestProxy_BandwidthIsCapped(t *testing.T) {
	t.Parallel()
	const streams, rate = 4, 1 << 20
	size := int64(len(object))
	const slack = 20 * time.Millisecond // a pacer's carry-over
	for _, c := range []struct {
		name     string
		settings slowproxy.Settings
		bytes    int64 // that share one cap
	}{
		{"each stream", slowproxy.Settings{StreamRate: rate}, size},
		{"all together", slowproxy.Settings{TotalRate: rate}, streams * size},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			proxy, client := start(t)
			proxy.Set(c.settings)
			begin := time.Now()
			var wg sync.WaitGroup
			for range streams {
				wg.Go(func() { must(t, client, "GET", proxy.URL()+"/b/k") })
			}
			wg.Wait()
			least := time.Duration(float64(c.bytes)/rate*float64(time.Second)) - slack
			if took := time.Since(begin); took < least {
				t.Errorf("took %s, want at least %s", took, least)
			}
		})
	}
}

func TestProxy_Faults(t *testing.T) {
	t.Parallel()
	cases := []struct {
		fault  slowproxy.Fault
		want   string // part of the client's error
		status int
	}{
		{slowproxy.Fail, "status 503", 503},
		{slowproxy.Cut, "unexpected EOF", 206},
		{slowproxy.LoseAnswer, "EOF", 0},
		{slowproxy.Hang, "canceled", 0},
	}
	for _, c := range cases {
		t.Run(c.fault.String(), func(t *testing.T) {
			t.Parallel()
			proxy, client := start(t)
			proxy.Set(slowproxy.Settings{Inject: func(slowproxy.Request) slowproxy.Fault { return c.fault }})
			ctx := t.Context()
			if c.fault == slowproxy.Hang { // the client gives up once the request hangs
				giveUp, cancel := context.WithCancel(ctx)
				ctx = giveUp
				go func() {
					defer cancel()
					waitFor(t, func() bool { return proxy.Stats().InFlight == 1 })
				}()
			}
			// A PATCH is not repeated by net/http when the connection is cut.
			data, err := do(ctx, client, "PATCH", proxy.URL()+"/b/k", "Range: bytes=0-")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %d bytes, %v; want %q", len(data), err, c.want)
			}
			if c.fault == slowproxy.Cut && len(data) != len(object)/2 {
				t.Errorf("got %d bytes, want half of %d", len(data), len(object))
			}
			waitFor(t, func() bool { return proxy.Stats().InFlight == 0 })
			lines := proxy.Transcript()
			if len(lines) != 1 || lines[0].Fault != c.fault || lines[0].Status != c.status || proxy.Stats().Faults[c.fault] != 1 {
				t.Errorf("transcript is %v", lines)
			}
		})
	}
}

// waitFor waits until the condition holds or the test ends.
func waitFor(t *testing.T, condition func() bool) {
	for !condition() {
		select {
		case <-t.Context().Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestProxy_Rates(t *testing.T) {
	t.Parallel()
	proxy, client := start(t)
	proxy.Set(slowproxy.Settings{FailRate: 0.5})
	const n = 400
	for range n {
		do(t.Context(), client, "GET", proxy.URL()+"/b/k", "Range: bytes=0-0")
	}
	if failed := proxy.Stats().Faults[slowproxy.Fail]; failed < n/4 || failed > 3*n/4 {
		t.Errorf("%d of %d requests failed, want about half", failed, n)
	}
}

func TestProxy_CloseEndsHangingRequests(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	proxy, err := slowproxy.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan struct{}, 1)
	proxy.Set(slowproxy.Settings{Inject: func(slowproxy.Request) slowproxy.Fault {
		arrived <- struct{}{}
		return slowproxy.Hang
	}})
	ended := make(chan error)
	go func() {
		_, err := do(context.Background(), &http.Client{Transport: &http.Transport{}}, "PATCH", proxy.URL()+"/b/k")
		ended <- err
	}()
	<-arrived
	if err := proxy.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("the hanging request succeeded")
	}
	if n := proxy.Stats().InFlight; n != 0 {
		t.Errorf("%d requests in flight after Close", n)
	}
}

func TestNew_BadTarget(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"", "127.0.0.1:9000", "http://", "://"} {
		if _, err := slowproxy.New(target); err == nil {
			t.Errorf("target %q was accepted", target)
		}
	}
}

func TestProxy_SignedRequestsToMinIO(t *testing.T) {
	t.Parallel()
	ctx, minio := t.Context(), servers.StartMinIO(t)
	bucket := minio.Bucket(t)
	proxy, err := slowproxy.New(minio.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	far := minio.S3
	far.Endpoint = proxy.URL()
	key := "app/0000/a b+c%2F=ü.ltx" // every character that a proxy could spell another way
	if err := far.Put(ctx, bucket, key, object, nil); err != nil {
		t.Fatal(err)
	}
	if data, err := far.Get(ctx, bucket, key); err != nil || !bytes.Equal(data, object) {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
	if list, err := far.List(ctx, bucket, "app/"); err != nil || len(list) != 1 || list[0].Key != key {
		t.Errorf("listing is %v, %v", list, err)
	}
	stats := proxy.Stats()
	if stats.Total() != 3 || stats.Waves != 3 || stats.BytesIn != int64(len(object)) || proxy.Transcript()[0].Key != key {
		t.Errorf("stats are %+v\n%v", stats, proxy.Transcript())
	}
}
