//go:build js && wasm

package fetchstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"syscall/js"

	"github.com/litefs-s3/litefs-s3/internal/promise"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/reply"
)

// response is an answer whose body has not been read. Close it.
type response struct {
	status int
	value  js.Value
	body   *body
}

// fetch sends a GET. bytesRange is "bytes=a-b", or empty for the whole object. An answer of any status is one.
func fetch(ctx context.Context, target, bytesRange string) (*response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	controller := js.Global().Get("AbortController").New()
	options := map[string]any{"signal": controller.Get("signal"), "cache": "no-store", "credentials": "same-origin"}
	if bytesRange != "" {
		options["headers"] = map[string]any{"Range": bytesRange}
	}
	value, err := promise.Await(ctx, js.Global().Call("fetch", target, options))
	if err != nil {
		controller.Call("abort")
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, explain(ctx, target, err)
	}
	r := &response{status: value.Get("status").Int(), value: value, body: &body{ctx: ctx, controller: controller}}
	if stream := value.Get("body"); stream.Truthy() { // an empty one may be null
		r.body.reader = stream.Call("getReader")
	}
	return r, nil
}

// explain finds out what stands behind "Failed to fetch", which is all that a browser says.
func explain(ctx context.Context, target string, err error) error {
	var rejection *promise.Rejection
	if !errors.As(err, &rejection) || rejection.Name() != "TypeError" {
		return fmt.Errorf("%w: %w", err, objstore.ErrTemporary)
	}
	host, here := "the server", js.Global().Get("location")
	if u, uerr := url.Parse(target); uerr == nil {
		host = u.Host
	}
	if here.Truthy() && here.Get("protocol").String() == "https:" && strings.HasPrefix(target, "http:") {
		return fmt.Errorf("a page that came by https may not read %s by http; use https:// for the replica as well", host)
	}
	options := map[string]any{"mode": "no-cors", "cache": "no-store"}
	if _, err := promise.Await(ctx, js.Global().Call("fetch", target, options)); err != nil {
		return fmt.Errorf("%s cannot be reached: %w", host, objstore.ErrTemporary)
	}
	origin := "this page"
	if here.Truthy() {
		origin = here.Get("origin").String()
	}
	return fmt.Errorf("%s answers, and the browser does not let %s read it: let the server (for S3: the bucket's CORS rule) send "+
		"Access-Control-Allow-Origin: %s and Access-Control-Expose-Headers: Content-Range, ETag, and check the bucket's name, "+
		"for S3 says that a bucket is missing without such headers: %w", host, origin, origin, ErrCORS)
}

// header is a header of the answer, or empty. Others than a few are hidden unless the server exposes them.
func (r *response) header(name string) string {
	if v := r.value.Get("headers").Call("get", name); v.Type() == js.TypeString {
		return v.String()
	}
	return ""
}

// answer is the response to a request for the bytes of an object.
func (r *response) answer() (*reply.Answer, error) {
	contentRange := r.header("Content-Range")
	switch {
	case r.status == 206 && contentRange == "":
		return nil, hidden("Content-Range")
	case r.status == 200 && contentRange != "":
		return nil, fmt.Errorf("status 200 and Content-Range %.60q do not go together: %w", contentRange, objstore.ErrTemporary)
	case strings.HasPrefix(r.header("Content-Type"), "text/html"):
		return nil, fmt.Errorf("the server sends a web page in its place: %w", objstore.ErrNotFound)
	}
	length, err := strconv.ParseInt(r.header("Content-Length"), 10, 64)
	if err != nil || r.header("Content-Encoding") != "" { // it counts what was on the wire
		length = -1
	}
	etag := strings.ReplaceAll(r.header("ETag"), `"`, "")
	return &reply.Answer{ContentRange: contentRange, Length: length, ETag: etag, Body: r.body}, nil
}

// hidden is a header that the browser does not show. Without it nobody can tell what was answered.
func hidden(name string) error {
	return fmt.Errorf("the browser does not show the answer's %s; let the server send Access-Control-Expose-Headers: Content-Range, ETag: %w", name, ErrCORS)
}

// text is the body, up to so many bytes.
func (r *response) text(most int64) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r.body, most))
	return string(data), err
}

// Close ends the request if its body was not read to the end.
func (r *response) Close() { r.body.close() }

// body is that of a response, as it comes. It is read by one goroutine.
type body struct {
	ctx        context.Context
	controller js.Value
	reader     js.Value // undefined when the body is empty
	chunk      js.Value // a Uint8Array
	off, size  int      // read of the chunk, and all of it
	ended      bool
}

func (b *body) Read(p []byte) (int, error) {
	for b.off == b.size {
		if b.ended || b.reader.IsUndefined() {
			return 0, io.EOF
		}
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n := js.CopyBytesToGo(p, b.chunk.Call("subarray", b.off))
	b.off += n
	return n, nil
}

// next waits for the next chunk.
func (b *body) next() error {
	read, err := promise.Await(b.ctx, b.reader.Call("read"))
	switch {
	case b.ctx.Err() != nil:
		return b.ctx.Err()
	case err != nil:
		return fmt.Errorf("the connection was cut: %w", objstore.ErrTemporary)
	case read.Get("done").Bool():
		b.ended = true
		return nil
	}
	b.chunk = read.Get("value")
	b.off, b.size = 0, b.chunk.Length()
	return nil
}

func (b *body) close() {
	if !b.ended && !b.reader.IsUndefined() {
		b.controller.Call("abort")
	}
}
