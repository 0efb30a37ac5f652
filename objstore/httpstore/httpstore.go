package httpstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/reply"
	"github.com/litefs-s3/litefs-s3/objstore/internal/wire"
)

// Options are settings of a Store. The zero value is fit for use.
type Options struct {
	// HTTPClient sends the requests. Nil means one with many idle connections, HTTP/1.1 and no compression.
	HTTPClient *http.Client
	// StallTimeout ends a request on which no byte moves for so long. Zero means 30 s.
	StallTimeout time.Duration
}

// Store is the objects below one URL. Its methods are safe for concurrent use.
type Store struct {
	base   *url.URL // without a slash at its end
	client *http.Client
	lister atomic.Pointer[bucket] // where listings come from, once that is known
}

var _ objstore.Store = (*Store)(nil)

// Open returns the store below an http or https URL. It asks nothing of the server.
func Open(baseURL string, opts Options) (*Store, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, errors.New("open replica: it is not a URL such as https://bucket.s3.amazonaws.com/app")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("open replica on %s: the URL may hold scheme, host, port and path only, no credentials and no"+
			" parameters; use an s3:// URL for what is not public", u.Host)
	}
	client := http.Client{}
	if opts.HTTPClient != nil {
		client = *opts.HTTPClient
	}
	if client.Transport == nil {
		client.Transport = wire.Shared()
	}
	client.Transport = wire.GuardStalls(client.Transport, cmp.Or(opts.StallTimeout, 30*time.Second))
	base := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}
	return &Store{base: base, client: &client}, nil
}

// CloseIdle closes connections that are not in use, or lets go of them when other stores of the process use them too.
func (s *Store) CloseIdle() { s.client.CloseIdleConnections() }

// ReadAt implements objstore.RangeReader with one GET.
func (s *Store) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	return reply.Get(s.get).ReadAt(ctx, ref, p, off)
}

// ReadSuffix implements objstore.RangeReader with one GET, or two if the object is empty.
func (s *Store) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return reply.Get(s.get).ReadSuffix(ctx, ref, n)
}

// ReadPrefix implements objstore.RangeReader with one GET, or two if the object is empty.
func (s *Store) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return reply.Get(s.get).ReadPrefix(ctx, ref, n)
}

// get is a reply.Get.
func (s *Store) get(ctx context.Context, ref objstore.Ref, bytesRange string, take func(*reply.Answer) error) error {
	if err := s.getOnce(ctx, ref, bytesRange, take); err != nil {
		return s.fail(ctx, "get", ref.Key, err)
	}
	return nil
}

func (s *Store) getOnce(ctx context.Context, ref objstore.Ref, bytesRange string, take func(*reply.Answer) error) error {
	header := make(http.Header)
	if bytesRange != "" {
		header.Set("Range", bytesRange)
	}
	if ref.ETag != "" && !strings.HasPrefix(ref.ETag, weak) { // a weak one matches nothing
		header.Set("If-Match", `"`+ref.ETag+`"`)
	}
	resp, err := s.do(ctx, s.base, ref.Key, "", header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := answerOf(resp)
	if err != nil {
		return &ownError{err}
	}
	if ref.ETag != "" && answer.ETag != ref.ETag { // the server knows no If-Match
		return &ownError{fmt.Errorf("its etag is %.60q, not %q: %w", answer.ETag, ref.ETag, objstore.ErrChanged)}
	}
	return bodyError(take(answer))
}

// do sends a GET for a key below base and returns an answer that is a success; its body must be closed.
func (s *Store) do(ctx context.Context, base *url.URL, key, query string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), nil)
	if err != nil {
		return nil, err
	}
	req.URL.Path = base.Path + "/" + key
	req.URL.RawPath = escapePath(req.URL.Path)
	req.URL.RawQuery = query
	req.Header = header
	req.Header.Set("Accept-Encoding", "identity") // ranges are of the bytes as stored
	req.Header.Set("User-Agent", "litefs-s3")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent {
		return resp, nil
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
	return nil, &statusError{code: resp.StatusCode}
}

// escapePath escapes all but unreserved characters: S3 takes a plus sign for a space.
func escapePath(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = strings.ReplaceAll(url.QueryEscape(segment), "+", "%20")
	}
	return strings.Join(segments, "/")
}

// weak is in front of an ETag that two versions may share.
const weak = "W/"

func answerOf(resp *http.Response) (*reply.Answer, error) {
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, fmt.Errorf("the server sends it with Content-Encoding %.20q; switch compression off: %w",
			encoding, objstore.ErrUnsupported)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return nil, fmt.Errorf("the server sends a web page in its place: %w", objstore.ErrNotFound)
	}
	contentRange := resp.Header.Get("Content-Range")
	if (contentRange != "") != (resp.StatusCode == http.StatusPartialContent) {
		return nil, fmt.Errorf("status %d and Content-Range %.60q do not go together: %w",
			resp.StatusCode, contentRange, objstore.ErrTemporary)
	}
	etag := strings.ReplaceAll(resp.Header.Get("ETag"), `"`, "")
	return &reply.Answer{ContentRange: contentRange, Length: resp.ContentLength, ETag: etag, Body: resp.Body}, nil
}

// Put implements objstore.Putter: it is ErrReadOnly.
func (s *Store) Put(_ context.Context, key string, _ io.ReadSeeker, _ objstore.PutOptions) (string, error) {
	return "", &objstore.OpError{Op: "put", Key: key, Err: objstore.ErrReadOnly}
}

// Delete implements objstore.Deleter: it is ErrReadOnly.
func (s *Store) Delete(_ context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	return &objstore.OpError{Op: "delete", Key: keys[0], Err: objstore.ErrReadOnly}
}
