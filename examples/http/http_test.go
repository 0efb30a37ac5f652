package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/examples/internal/world"
)

func TestMain(m *testing.M) { world.Main(m, main) }

func TestService(t *testing.T) {
	w := world.New(t)
	source := w.Litestream(t, "app")
	source.Exec(t, "CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT)")
	source.Exec(t, "INSERT INTO posts(title) VALUES ('first'), ('second')")
	source.Sync(t)
	s := w.Start(t, "-replica", w.URL("app"), "-addr", "127.0.0.1:0")

	old := s.Get(t, "/posts")
	if old.Status != 200 || old.Body != `[{"id":2,"title":"second"},{"id":1,"title":"first"}]`+"\n" {
		t.Fatalf("got %d %s", old.Status, old.Body)
	}
	etag := old.Header.Get("ETag")
	then, err := time.Parse(http.TimeFormat, old.Header.Get("Last-Modified"))
	if err != nil || time.Since(then) > 10*time.Minute {
		t.Errorf("Last-Modified is %q (%v)", old.Header.Get("Last-Modified"), err)
	}
	if a := s.Get(t, "/posts", "If-None-Match", etag); a.Status != 304 || a.Body != "" {
		t.Errorf("with the ETag of the same moment: %d %s", a.Status, a.Body)
	}

	moment := time.Now().UTC() // by the clock of this machine, which is the writer's, too
	time.Sleep(20 * time.Millisecond)
	source.Exec(t, "INSERT INTO posts(title) VALUES ('third')")
	source.Exec(t, "UPDATE posts SET title = 'FIRST' WHERE id = 1")
	source.Sync(t)
	world.Eventually(t, func() error {
		a := s.Get(t, "/posts?limit=1", "If-None-Match", etag)
		if a.Status != 200 || a.Body != `[{"id":3,"title":"third"}]`+"\n" || a.Header.Get("ETag") == etag {
			return fmt.Errorf("after a transaction: %d %s, ETag %s", a.Status, a.Body, a.Header.Get("ETag"))
		}
		return nil
	})

	at := url.QueryEscape(moment.Format(time.RFC3339Nano))
	for range 8 { // past and present by turns, on the connections of one pool
		if a := s.Get(t, "/posts?at="+at); a.Body != old.Body || a.Header.Get("ETag") != etag {
			t.Fatalf("at %s: %d %s, ETag %s, not %s", moment, a.Status, a.Body, a.Header.Get("ETag"), etag)
		}
		if a := s.Get(t, "/posts/1"); a.Body != `[{"id":1,"title":"FIRST"}]`+"\n" {
			t.Fatalf("now: %d %s", a.Status, a.Body)
		}
	}

	for _, c := range []struct {
		path   string
		status int
		says   string
	}{
		{"/posts?at=the+day+before", 400, "not a time"},
		{"/posts?at=" + url.QueryEscape("now'; DROP TABLE posts; --"), 400, "not a time"},
		{"/posts?at=2001-01-01", 404, "before the first moment"},
		{"/posts?limit=0", 400, "limit"},
		{"/posts/x", 400, "number"},
		{"/posts/99", 404, "no such post"},
		{"/posts/3?at=" + at, 404, "no such post"},
		{"/health", 200, "ok"},
	} {
		if a := s.Get(t, c.path); a.Status != c.status || !strings.Contains(a.Body, c.says) {
			t.Errorf("%s: got %d %s, want %d and %q", c.path, a.Status, a.Body, c.status, c.says)
		}
	}
	s.Stop(t)
}

// A store that hangs costs a request its deadline and no more, and the end of the process does not wait for it.
func TestService_StoreHangs(t *testing.T) {
	w := world.New(t)
	source := w.Litestream(t, "app")
	source.Exec(t, "CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT, filler BLOB)")
	source.Exec(t, "WITH n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < 4000) INSERT INTO posts SELECT i, 'post '||i, randomblob(2000) FROM n")
	source.Sync(t)
	distant := distance(t, w)
	s := distant.start(t, "app", "-deadline", "2s")
	distant.hang()
	world.Eventually(t, func() error { // pages near the root may be here already
		a := s.Get(t, "/posts/2000")
		if a.Status != http.StatusServiceUnavailable {
			return fmt.Errorf("got %d %s", a.Status, a.Body)
		}
		return nil
	})
	s.Signal(t, syscall.SIGTERM)
	world.Eventually(t, func() error {
		if _, err := s.Ask(http.MethodGet, "/health", ""); err == nil {
			return errors.New("it still answers")
		}
		return nil
	})
}
