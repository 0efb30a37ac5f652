package httpstore

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/reply"
)

// maxListing bounds what is read of one page: 1000 keys of 1024 bytes, escaped, and as much around them.
const maxListing = 8 << 20

// bucket is a place that answers ListObjectsV2.
type bucket struct {
	url    *url.URL
	prefix string // of the keys of the store in it: empty, or with a slash at its end
}

// List implements objstore.Lister with the ListObjectsV2 of a public bucket: one GET, once it is known where.
func (s *Store) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	page, err := s.list(ctx, prefix, startAfter)
	if err != nil {
		return objstore.Page{}, s.fail(ctx, "list", prefix, err)
	}
	return page, nil
}

func (s *Store) list(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	if known := s.lister.Load(); known != nil {
		return s.listBucket(ctx, known, prefix, startAfter)
	}
	var refusals []string
	for _, candidate := range s.candidates() {
		page, err := s.listBucket(ctx, candidate, prefix, startAfter)
		switch {
		case err == nil:
			s.lister.Store(candidate)
			return page, nil
		case !refused(err):
			return objstore.Page{}, err
		}
		refusals = append(refusals, fmt.Sprintf("%s: %v", candidate.url, err))
	}
	return objstore.Page{}, &ownError{fmt.Errorf("no public S3 bucket answers a listing (%s);"+
		" allow s3:ListBucket to everybody, or use an s3:// URL with credentials: %w", strings.Join(refusals, "; "), objstore.ErrUnsupported)}
}

// candidates returns the places the bucket can be at: the host, then its first folder.
func (s *Store) candidates() []*bucket {
	at := func(path string) *url.URL { return &url.URL{Scheme: s.base.Scheme, Host: s.base.Host, Path: path} }
	path := strings.TrimPrefix(s.base.Path, "/")
	all := []*bucket{{url: at(""), prefix: asFolder(path)}}
	if path != "" {
		first, rest, _ := strings.Cut(path, "/")
		all = append(all, &bucket{url: at("/" + first), prefix: asFolder(rest)})
	}
	return all
}

func asFolder(path string) string {
	if path == "" {
		return ""
	}
	return path + "/"
}

// errNoListing is an answer that is no listing: a web page, another kind of XML.
var errNoListing = errors.New("the answer is no listing of a bucket")

// refused says whether a server has answered, for good, that there is no listing to be had.
func refused(err error) bool {
	var status *statusError
	if errors.As(err, &status) {
		return !errors.Is(status, objstore.ErrTemporary)
	}
	return errors.Is(err, errNoListing)
}

// listing is the answer of ListObjectsV2.
type listing struct {
	XMLName     xml.Name `xml:"ListBucketResult"`
	IsTruncated bool
	Contents    []struct {
		Key          string
		Size         int64
		ETag         string
		LastModified time.Time
	}
}

func (s *Store) listBucket(ctx context.Context, b *bucket, prefix, startAfter string) (objstore.Page, error) {
	query := "list-type=2&prefix=" + escapeQuery(b.prefix+prefix)
	if startAfter != "" {
		query += "&start-after=" + escapeQuery(b.prefix+startAfter)
	}
	resp, err := s.do(ctx, b.url, "", query, make(http.Header))
	if err != nil {
		return objstore.Page{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxListing+1))
	switch {
	case err != nil:
		return objstore.Page{}, err
	case len(body) > maxListing:
		return objstore.Page{}, errNoListing
	}
	return b.decode(body, prefix, startAfter)
}

// decode reads the answer to a request for the keys with prefix after startAfter.
func (b *bucket) decode(body []byte, prefix, startAfter string) (objstore.Page, error) {
	var found listing
	if err := xml.Unmarshal(body, &found); err != nil {
		return objstore.Page{}, errNoListing
	}
	page, err := found.page(b.prefix)
	if err == nil {
		err = reply.CheckPage(page, prefix, startAfter)
	}
	if err != nil {
		return objstore.Page{}, &ownError{err}
	}
	return page, nil
}

// page makes keys relative to the store.
func (l *listing) page(root string) (objstore.Page, error) {
	page := objstore.Page{More: l.IsTruncated}
	for _, o := range l.Contents {
		key, ok := strings.CutPrefix(o.Key, root)
		if !ok {
			return objstore.Page{}, fmt.Errorf("the listing holds %.100q, not under %q: %w", o.Key, root, reply.ErrUnordered)
		}
		page.Objects = append(page.Objects, objstore.Info{
			Key: key, Size: o.Size, ETag: strings.Trim(o.ETag, `"`), Modified: o.LastModified,
		})
	}
	return page, nil
}

// escapeQuery writes a space as %20, which every server takes for one.
func escapeQuery(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
