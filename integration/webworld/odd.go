package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/web/host"
)

// odd serves a replica in ways that are wrong:
//
//	/nocors/     without a header that lets other origins read it
//	/hidden/     with one, but Content-Range and ETag stay hidden
//	/expiring/   credentials have expired unless the session token is "fresh"
//	/slow/       objects do not come while the brake is on: GET /brake?on=1
//	/whole/      ranges are not known
//	/right/      as it should be
//
// /counts says how often what was asked of all of them: {"GET": …, "OPTIONS": …}
func odd(store objstore.Store) http.Handler {
	mux := http.NewServeMux()
	right := host.New(store)
	counts, braked := new(requests), new(brake)
	for name, handler := range map[string]http.Handler{
		"nocors":   without(right, "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"),
		"hidden":   without(right, "Access-Control-Expose-Headers"),
		"expiring": expiring(right),
		"slow":     braked.hold(right),
		"whole":    whole(right),
		"right":    right,
	} {
		mux.Handle("/"+name, http.StripPrefix("/"+name, handler))
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, handler))
	}
	mux.Handle("/brake", braked)
	all := http.NewServeMux()
	all.Handle("/", counts.count(mux))
	all.Handle("/counts", counts)
	return all
}

// without takes headers away.
func without(next http.Handler, headers ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&stripped{w, headers}, r) })
}

type stripped struct {
	http.ResponseWriter
	headers []string
}

func (s *stripped) WriteHeader(status int) {
	for _, name := range s.headers {
		s.Header().Del(name)
	}
	s.ResponseWriter.WriteHeader(status)
}

// expiring is S3 for a client whose session is over.
func expiring(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("X-Amz-Security-Token") == "fresh" {
			next.ServeHTTP(w, r)
			return
		}
		host.AllowAll(w.Header())
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>") //nolint:errcheck
	})
}

// brake holds requests up while it is on.
type brake struct {
	mu  sync.Mutex
	off chan struct{} // closed when it is taken off; nil while it is off; guarded by mu
}

func (b *brake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host.AllowAll(w.Header())
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off != nil {
		close(b.off)
		b.off = nil
	}
	if r.URL.Query().Get("on") == "1" {
		b.off = make(chan struct{})
	}
}

func (b *brake) hold(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		off := b.off
		b.mu.Unlock()
		if off != nil {
			select {
			case <-off:
			case <-r.Context().Done():
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// whole is a server that knows no ranges.
func whole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		next.ServeHTTP(w, r)
	})
}

// requests counts them by method.
type requests struct {
	mu sync.Mutex
	n  map[string]int // guarded by mu
}

func (c *requests) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		if c.n == nil {
			c.n = map[string]int{}
		}
		c.n[r.Method]++
		c.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (c *requests) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	host.AllowAll(w.Header())
	c.mu.Lock()
	defer c.mu.Unlock()
	json.NewEncoder(w).Encode(c.n) //nolint:errcheck
}

// emptyStores are stores that a test fills: PUT and GET /NAME/key, and the listing of /NAME.
type emptyStores struct{ byName sync.Map }

func (s *emptyStores) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if name == "" {
		http.NotFound(w, r)
		return
	}
	found, _ := s.byName.LoadOrStore(name, new(memstore.Store))
	store := found.(*memstore.Store)
	if r.Method != http.MethodPut {
		http.StripPrefix("/"+url.PathEscape(name), host.New(store)).ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		_, err = store.Put(r.Context(), key, strings.NewReader(string(body)), objstore.PutOptions{})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
