package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/examples/internal/world"
	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
	"github.com/litefs-s3/litefs-s3/sidecar"
)

func TestMain(m *testing.M) { world.Main(m, main) }

const users = 1000

// fill makes a replica of about 12 MB: users, and twenty posts of each.
func fill(t testing.TB, w *world.World) *world.Source {
	t.Helper()
	source := w.Litestream(t, "app")
	source.Exec(t, "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT)")
	source.Exec(t, "CREATE TABLE posts(id INTEGER PRIMARY KEY, user_id INTEGER, body TEXT)")
	source.Exec(t, "CREATE INDEX posts_user ON posts(user_id)")
	source.Exec(t, "WITH n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < ?) INSERT INTO users SELECT i, 'user '||i FROM n", users)
	source.Exec(t, "WITH n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < 20*?) INSERT INTO posts SELECT i, 1+i*7919%?, hex(randomblob(250)) FROM n", users, users)
	source.Sync(t)
	return source
}

func user(id, posts int) string {
	return fmt.Sprintf(`{"id":%d,"name":"user %d","posts":%d}`, id, id, posts)
}

// A function under Lambda's interface: events, answers, deadlines, and news after it was frozen.
func TestLambda(t *testing.T) {
	w := world.New(t)
	source := fill(t, w)
	proxy := distance(t, w, 0)
	cloud := newCloud(t)
	w.Run(t, cloud.env(replica(w, proxy)))
	ask := func(path string, within time.Duration) response {
		t.Helper()
		return cloud.ask(t, path, within)
	}
	if r := ask("/users/7", time.Minute); r.Status != 200 || r.Body != user(7, 20) || r.Headers["Content-Type"] != "application/json" {
		t.Fatalf("got %+v", r)
	}
	for path, status := range map[string]int{"/users/x": 400, "/users/100000": 404, "/": 404} {
		if r := ask(path, time.Minute); r.Status != status {
			t.Errorf("%s: %d %s, want %d", path, r.Status, r.Body, status)
		}
	}
	if a := cloud.invoke(t, "no JSON", time.Minute); a.kind != "error" || !strings.Contains(string(a.body), "invalid character") {
		t.Errorf("an event that is none: %s %s", a.kind, a.body)
	}
	source.Exec(t, "INSERT INTO posts(user_id, body) VALUES (7, 'news')")
	source.Sync(t)
	world.Eventually(t, func() error {
		if r := ask("/users/7", time.Minute); r.Body != user(7, 21) {
			return fmt.Errorf("got %s", r.Body)
		}
		return nil
	})
	proxy.Set(slowproxy.Settings{FailRate: 1})
	world.Eventually(t, func() error { // as soon as it may not trust what it knows any more
		if r := ask("/users/7", 2*time.Second); r.Status != 503 {
			return fmt.Errorf("while the store fails: %d %s", r.Status, r.Body)
		}
		return nil
	})
	proxy.Set(slowproxy.Settings{})
	world.Eventually(t, func() error {
		if r := ask("/users/999", time.Minute); r.Status != 200 {
			return fmt.Errorf("after the store failed: %d %s", r.Status, r.Body)
		}
		return nil
	})
}

// The same function where the platform gives a port.
func TestPort(t *testing.T) {
	w := world.New(t)
	fill(t, w)
	t.Setenv("LITESTREAM_REPLICA_URL", w.URL("app"))
	t.Setenv("PORT", "0")
	s := w.Start(t)
	if a := s.Get(t, "/users/8"); a.Status != 200 || a.Body != user(8, 20) {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
	s.Stop(t)
}

// From the start of the process to the first answer, which is a row, a count by an index, and opening the replica. Times are printed, and
// not held against anything: the machine may be busy.
func TestColdStart(t *testing.T) {
	w := world.New(t)
	fill(t, w)
	const starts = 5
	for _, withSidecar := range []bool{false, true} {
		if withSidecar {
			writeSidecar(t, w.URL("app"))
		}
		for _, latency := range []time.Duration{0, 25 * time.Millisecond} {
			proxy := distance(t, w, latency)
			var took []time.Duration
			for i := range starts {
				proxy.Reset()
				took = append(took, coldStart(t, w, proxy, 1+i*37))
			}
			slices.Sort(took)
			stats := proxy.Stats()
			t.Logf("%s a request, sidecar %t: first answer after %s (median of %d; %s to %s), %d requests in %d waves", latency, withSidecar,
				took[starts/2].Round(time.Millisecond), starts, took[0].Round(time.Millisecond), took[starts-1].Round(time.Millisecond),
				stats.Total(), stats.Waves)
		}
	}
}

func coldStart(t testing.TB, w *world.World, proxy *slowproxy.Proxy, id int) time.Duration {
	t.Helper()
	cloud := newCloud(t)
	p := w.Run(t, cloud.env(replica(w, proxy)))
	r := cloud.ask(t, fmt.Sprint("/users/", id), time.Minute)
	took := time.Since(p.Started)
	if r.Body != user(id, 20) {
		t.Errorf("got %+v", r)
	}
	p.Kill()
	return took
}

// BenchmarkColdStart is the same for benchstat: process start to first answer.
func BenchmarkColdStart(b *testing.B) {
	w := world.New(b)
	fill(b, w)
	for _, latency := range []time.Duration{0, 25 * time.Millisecond} {
		b.Run(fmt.Sprint("latency=", latency), func(b *testing.B) {
			proxy := distance(b, w, latency)
			for b.Loop() {
				coldStart(b, w, proxy, 1)
			}
		})
	}
}

// replica is the URL of the replica by way of a proxy.
func replica(w *world.World, proxy *slowproxy.Proxy) string {
	s3 := w.S3
	s3.Endpoint = proxy.URL()
	return s3.URL(w.Name, "app")
}

func distance(t testing.TB, w *world.World, latency time.Duration) *slowproxy.Proxy {
	t.Helper()
	proxy, err := slowproxy.New(w.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	proxy.Set(slowproxy.Settings{Latency: latency})
	return proxy
}

// writeSidecar does what ltxctl index does.
func writeSidecar(t testing.TB, url string) {
	t.Helper()
	config, prefix, err := s3store.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	store, err := s3store.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer store.CloseIdle()
	if _, err := sidecar.Update(t.Context(), objstore.WithPrefix(store, prefix), sidecar.Options{}); err != nil {
		t.Fatal(err)
	}
}

// Events that are none, and bodies that are no text.
func TestLambda_Handle(t *testing.T) {
	t.Parallel()
	l := &lambda{handler: echo{}}
	for _, c := range []struct {
		event string
		want  response
	}{
		{`{"rawPath":"/a","rawQueryString":"b=c","requestContext":{"http":{"method":"POST"}},"body":"text"}`,
			response{Status: 200, Body: "POST /a?b=c text"}},
		{`{"rawPath":"/a","requestContext":{"http":{"method":"PUT"}},"body":"dGV4dA==","isBase64Encoded":true}`,
			response{Status: 200, Body: "PUT /a text"}},
		{`{"rawPath":"/a","requestContext":{"http":{"method":"PUT"}},"body":"*","isBase64Encoded":true}`,
			response{Status: 400, Body: "the body is not base64\n"}},
		{`{"rawPath":"/a","requestContext":{"http":{"method":"PUT"}},"body":"/w==","isBase64Encoded":true}`,
			response{Status: 200, Body: "UFVUIC9hIP8=", Base64: true}},
		{`{"rawPath":":","requestContext":{"http":{"method":"GET"}}}`, response{Status: 400, Body: "the event is no request\n"}},
	} {
		var e event
		if err := json.Unmarshal([]byte(c.event), &e); err != nil {
			t.Fatal(err)
		}
		got := l.handle(context.Background(), e)
		got.Headers = nil
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %+v, want %+v", c.event, got, c.want)
		}
	}
}
