package httpstore_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/httpstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

// bucketServer serves a store as S3 serves a public bucket at the root of a URL.
type bucketServer struct {
	store objstore.Store
	lists atomic.Int64
}

func (b *bucketServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.RequestURI, "+") {
		http.Error(w, "S3 takes a plus sign for a space", http.StatusBadRequest)
		return
	}
	if r.URL.Query().Get("list-type") == "2" {
		b.list(w, r)
		return
	}
	part, err := b.store.ReadPrefix(r.Context(), objstore.Ref{Key: strings.TrimPrefix(r.URL.Path, "/")}, 1<<40)
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if r.Header.Get("Accept-Encoding") != "identity" {
		http.Error(w, "would be compressed", http.StatusBadRequest)
		return
	}
	w.Header().Set("ETag", `"`+part.ETag+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(part.Data))
}

func (b *bucketServer) list(w http.ResponseWriter, r *http.Request) {
	b.lists.Add(1)
	page, err := b.store.List(r.Context(), r.URL.Query().Get("prefix"), r.URL.Query().Get("start-after"))
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	type contents struct {
		Key, ETag    string
		Size         int64
		LastModified time.Time
	}
	answer := struct {
		XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		IsTruncated bool
		Contents    []contents
	}{IsTruncated: page.More}
	for _, o := range page.Objects {
		answer.Contents = append(answer.Contents, contents{o.Key, `"` + o.ETag + `"`, o.Size, o.Modified})
	}
	_ = xml.NewEncoder(w).Encode(answer)
}

// serve starts a server for handler and opens the store at path on it.
func serve(t *testing.T, handler http.Handler, path string) *httpstore.Store {
	t.Helper()
	return serveWith(t, handler, path, httpstore.Options{})
}

func serveWith(t *testing.T, handler http.Handler, path string, opts httpstore.Options) *httpstore.Store {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	store, err := httpstore.Open(server.URL+path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.CloseIdle)
	return store
}

// fill returns a store in memory with objects under a prefix.
func fill(t *testing.T, prefix string, objects map[string][]byte) objstore.Store {
	t.Helper()
	store := new(memstore.Store)
	storetest.Fill(t, objstore.WithPrefix(store, prefix), objects)
	if _, err := store.Put(t.Context(), "other/0000/x.ltx", bytes.NewReader(nil), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	return store
}

// TestStore runs the contract with the bucket as host, and as the first folder of one that says no at its root.
func TestStore(t *testing.T) {
	t.Parallel()
	t.Run("bucket as host", func(t *testing.T) {
		t.Parallel()
		storetest.RunReadOnly(t, func(t *testing.T, objects map[string][]byte) objstore.Store {
			return serve(t, &bucketServer{store: fill(t, "a b/ü+%/", objects)}, "/a%20b/%C3%BC+%25/")
		})
	})
	t.Run("bucket as folder", func(t *testing.T) {
		t.Parallel()
		storetest.RunReadOnly(t, func(t *testing.T, objects map[string][]byte) objstore.Store {
			return serve(t, asFolder(&bucketServer{store: fill(t, "app/", objects)}), "/bucket/app")
		})
	})
}

func asFolder(bucket http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/bucket/", http.StripPrefix("/bucket", bucket))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>`)
	})
	return mux
}

func TestKeys(t *testing.T) {
	t.Parallel()
	objects := make(map[string][]byte)
	for i, key := range storetest.Keys {
		objects[key] = storetest.Content(uint64(i), 20)
	}
	store := serve(t, &bucketServer{store: fill(t, "app/", objects)}, "/app")
	for key, data := range objects {
		part, err := store.ReadSuffix(t.Context(), objstore.Ref{Key: key}, 100)
		if err != nil || !bytes.Equal(part.Data, data) {
			t.Errorf("%q: %v", key, err)
		}
	}
	all, err := objstore.ListAll(t.Context(), store, "", "")
	if err != nil || len(all) != len(objects) {
		t.Errorf("listed %d of %d: %v", len(all), len(objects), err)
	}
}

// TestList_Remembers wants one request for each list after the first.
func TestList_Remembers(t *testing.T) {
	t.Parallel()
	bucket := &bucketServer{store: fill(t, "app/", map[string][]byte{"x": {1}})}
	var requests atomic.Int64
	inner := asFolder(bucket)
	store := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		inner.ServeHTTP(w, r)
	}), "/bucket/app")
	for range 3 {
		if page, err := store.List(t.Context(), "", ""); err != nil || len(page.Objects) != 1 || page.Objects[0].Key != "x" {
			t.Fatalf("got %v and %v", page, err)
		}
	}
	if requests.Load() != 4 || bucket.lists.Load() != 3 {
		t.Errorf("%d requests and %d lists, want 4 and 3", requests.Load(), bucket.lists.Load())
	}
}

func TestList_Unsupported(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"web page": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>hello</html>") },
		"denied":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"nothing":  http.NotFound,
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for range 10 << 10 {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<10)); err != nil {
					return
				}
			}
		},
		"unordered": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `<ListBucketResult><Contents><Key>a/c/x</Key></Contents><Contents><Key>a/b</Key></Contents></ListBucketResult>`)
		},
		"ignores the prefix": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `<ListBucketResult><Contents><Key>z</Key></Contents></ListBucketResult>`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, handler, "/a/b").List(t.Context(), "", "")
			if !errors.Is(err, objstore.ErrUnsupported) {
				t.Errorf("got %v", err)
			}
			if isRefusal := strings.Contains(err.Error(), "s3://"); isRefusal == (name == "unordered" || name == "ignores the prefix") {
				t.Errorf("got %v, want advice", err)
			}
		})
	}
	_, err := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }), "/a/b").List(t.Context(), "", "")
	if !errors.Is(err, objstore.ErrTemporary) {
		t.Errorf("503: got %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	store := serve(t, http.NotFoundHandler(), "")
	if _, err := store.Put(t.Context(), "x", strings.NewReader(""), objstore.PutOptions{}); !errors.Is(err, objstore.ErrReadOnly) {
		t.Errorf("put: got %v", err)
	}
	if err := store.Delete(t.Context(), "x"); !errors.Is(err, objstore.ErrReadOnly) {
		t.Errorf("delete: got %v", err)
	}
}

func TestOpen_Refused(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "app", "s3://bucket/app", "ftp://x/app", "https://", "https://u:s3cr3t@host/app", "https://host/app?X-Amz-Signature=s3cr3t",
		"https://host:s3cr3t/app", "https://host/app#s3cr3t",
	} {
		_, err := httpstore.Open(url, httpstore.Options{})
		if err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	object := storetest.Content(1, 1000)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	partial := func(contentRange string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			w.Write(body)
		}
	}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		want    error // of reading bytes 10 to 20
	}{
		{"right", partial("bytes 10-19/1000", object[10:20]), nil},
		{"whole", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Write(object)
		}, nil},
		{"whole and huge", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", "1000000000000")
			w.Write(object)
		}, objstore.ErrUnsupported},
		{"shifted", partial("bytes 11-20/1000", object[11:21]), objstore.ErrTemporary},
		{"ends early", partial("bytes 10-11/12", object[10:12]), objstore.ErrShortObject},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			w.Header().Set("Content-Range", "bytes 10-19/1000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(object[10:15])
		}, objstore.ErrTemporary},
		{"206 without a range", status(206), objstore.ErrTemporary},
		{"compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(object)
		}, objstore.ErrUnsupported},
		{"web page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>404</html>") }, objstore.ErrNotFound},
		{"gone", status(410), objstore.ErrNotFound},
		{"denied", status(403), objstore.ErrAccess},
		{"replaced", status(412), objstore.ErrChanged},
		{"past the end", status(416), objstore.ErrShortObject},
		{"overloaded", status(503), objstore.ErrTemporary},
		{"throttled", status(429), objstore.ErrTemporary},
		{"closed", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, objstore.ErrTemporary},
		{"stuck", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, objstore.ErrTemporary},
		{"loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, objstore.ErrTemporary},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var opts httpstore.Options
			if test.name == "stuck" {
				opts.StallTimeout = 50 * time.Millisecond
			}
			store := serveWith(t, test.handler, "/app", opts)
			p := make([]byte, 10)
			err := store.ReadAt(t.Context(), objstore.Ref{Key: "k"}, p, 10)
			if !errors.Is(err, test.want) || (test.want == nil && (err != nil || !bytes.Equal(p, object[10:20]))) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "http://") {
				t.Errorf("a URL is in %v", err)
			}
		})
	}
}

// TestVersions is about servers with weak ETags, and with none.
func TestVersions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ header, etag string }{{`W/"v1"`, "W/v1"}, {`"v1"`, "v1"}, {"", ""}} {
		store := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(test.etag, "W/") && r.Header.Get("If-Match") != "" {
				w.WriteHeader(http.StatusPreconditionFailed) // weak ones never match
				return
			}
			w.Header().Set("ETag", test.header)
			w.Header().Set("Content-Range", "bytes 0-0/1")
			w.WriteHeader(http.StatusPartialContent)
			w.Write([]byte{1})
		}), "")
		part, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: "k"}, 1)
		if err != nil || part.ETag != test.etag {
			t.Errorf("%s: got %q and %v", test.header, part.ETag, err)
		}
		if _, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: "k", ETag: part.ETag}, 1); err != nil {
			t.Errorf("%s: the same version: %v", test.header, err)
		}
		if _, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: "k", ETag: "v2"}, 1); !errors.Is(err, objstore.ErrChanged) {
			t.Errorf("%s: another version: %v", test.header, err)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	var running atomic.Int64
	store := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Add(-1)
		<-r.Context().Done()
	}), "/app")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for i := range 3 {
		var err error
		switch i {
		case 0:
			err = store.ReadAt(ctx, objstore.Ref{Key: "k"}, make([]byte, 1), 0)
		case 1:
			_, err = store.ReadSuffix(ctx, objstore.Ref{Key: "k"}, 1)
		default:
			_, err = store.List(ctx, "", "")
		}
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, objstore.ErrTemporary) {
			t.Errorf("call %d: got %v", i, err)
		}
	}
	for deadline := time.Now().Add(time.Minute); running.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("requests are left running")
		}
	}
}

func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.ltx", time.Time{}, strings.NewReader("an object on a web server"))
	}))
	defer server.Close()
	store, err := httpstore.Open(server.URL+"/app", httpstore.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	part, err := store.ReadSuffix(context.Background(), objstore.Ref{Key: "0000/a.ltx"}, 10)
	fmt.Printf("%s, from byte %d of %d, %v\n", part.Data, part.Off, part.Size, err)
	// Output: web server, from byte 15 of 25, <nil>
}
