// Package host shows a store to browsers: objects with ranges and ETags, the listing of S3 (ListObjectsV2 at the root), and the
// headers that let pages of other origins read all of it. It is what a public bucket with a CORS rule is, for samples and tests.
//
//	http.Handle("/sample/", http.StripPrefix("/sample", host.New(store)))
package host

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// New returns a handler of GET, HEAD and OPTIONS requests for what is in store.
func New(store objstore.Store) http.Handler { return &handler{store} }

type handler struct{ store objstore.Store }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	AllowAll(w.Header())
	switch {
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "read-only", http.StatusMethodNotAllowed)
	case r.URL.Query().Get("list-type") == "2":
		h.list(w, r)
	default:
		h.object(w, r, strings.TrimPrefix(r.URL.Path, "/"))
	}
}

// AllowAll sets the headers that let pages of every origin read an answer.
func AllowAll(header http.Header) {
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Allow-Headers", "*")
	header.Set("Access-Control-Expose-Headers", "Content-Range, ETag")
}

func (h *handler) object(w http.ResponseWriter, r *http.Request, key string) {
	part, err := h.store.ReadPrefix(r.Context(), objstore.Ref{Key: key}, 1)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("ETag", `"`+part.ETag+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	whole := &object{r.Context(), h.store, objstore.Ref{Key: key, ETag: part.ETag}}
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(whole, 0, part.Size))
}

// object reads one version of an object.
type object struct {
	ctx   context.Context // of the request
	store objstore.RangeReader
	ref   objstore.Ref
}

func (o *object) ReadAt(p []byte, off int64) (int, error) {
	if err := o.store.ReadAt(o.ctx, o.ref, p, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

// failure is what S3 says of a request that it does not like.
type failure struct {
	XMLName       xml.Name `xml:"Error"`
	Code, Message string
}

func fail(w http.ResponseWriter, err error) {
	status, code := http.StatusBadRequest, "InvalidRequest"
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		status, code = http.StatusNotFound, "NoSuchKey"
	case errors.Is(err, objstore.ErrTemporary):
		status, code = http.StatusServiceUnavailable, "SlowDown"
	}
	write(w, status, failure{Code: code, Message: err.Error()})
}

// listing is the answer of ListObjectsV2.
type listing struct {
	XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	IsTruncated bool
	KeyCount    int
	Contents    []entry
}

type entry struct {
	Key          string
	LastModified time.Time
	ETag         string
	Size         int64
}

func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	page, err := h.store.List(r.Context(), query.Get("prefix"), cmp.Or(query.Get("start-after"), query.Get("continuation-token")))
	if err != nil {
		fail(w, err)
		return
	}
	out := listing{IsTruncated: page.More, KeyCount: len(page.Objects)}
	for _, o := range page.Objects {
		out.Contents = append(out.Contents, entry{o.Key, o.Modified.UTC(), `"` + o.ETag + `"`, o.Size})
	}
	write(w, http.StatusOK, out)
}

func write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	io.WriteString(w, xml.Header) //nolint:errcheck // whoever has gone needs no answer
	xml.NewEncoder(w).Encode(answer)
}
