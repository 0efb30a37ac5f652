package fetchstore

import (
	"context"
	"net/url"
	"strings"

	"github.com/litefs-s3/litefs-s3/objstore/internal/sigv4"
)

// Place says by which URLs the objects of a replica are read. Its methods are safe for concurrent use.
type Place interface {
	// Object returns the URL that a GET for the object goes to.
	Object(ctx context.Context, key string) (string, error)
	// Listings returns where a listing of the keys with prefix after startAfter may be had, the likeliest first.
	Listings(ctx context.Context, prefix, startAfter string) ([]Listing, error)
	// Refused is told that the server did not like the credentials in a URL that this Place has made, because they have expired. It
	// reports whether there may be better ones now.
	Refused() bool
}

// Listing is where a ListObjectsV2 may be answered.
type Listing struct {
	URL  string
	Root string // what keys in the answer begin with before the replica's own begin: empty, or with a slash at its end
}

// Web is a public bucket, or a plain web server, below an http or https URL.
type Web struct {
	base url.URL // without a slash at the end of its path
}

// Object implements Place.
func (w *Web) Object(_ context.Context, key string) (string, error) {
	return w.base.Scheme + "://" + w.base.Host + sigv4.EscapePath(w.base.Path+"/"+key), nil
}

// Listings implements Place: a bucket may be the host, or the first folder.
func (w *Web) Listings(_ context.Context, prefix, startAfter string) ([]Listing, error) {
	path := strings.TrimPrefix(w.base.Path, "/")
	all := []Listing{w.listing("", path, prefix, startAfter)}
	if path != "" {
		first, rest, _ := strings.Cut(path, "/")
		all = append(all, w.listing(first, rest, prefix, startAfter))
	}
	return all, nil
}

func (w *Web) listing(bucket, root, prefix, startAfter string) Listing {
	root = asFolder(root)
	return Listing{
		URL:  w.base.Scheme + "://" + w.base.Host + sigv4.EscapePath("/"+bucket) + "?" + sigv4.EscapeQuery(listQuery(root+prefix, root, startAfter)),
		Root: root,
	}
}

// Refused implements Place: there are no credentials.
func (w *Web) Refused() bool { return false }

func asFolder(path string) string {
	if path == "" {
		return ""
	}
	return path + "/"
}

func listQuery(prefix, root, startAfter string) url.Values {
	query := url.Values{"list-type": {"2"}, "prefix": {prefix}}
	if startAfter != "" {
		query.Set("start-after", root+startAfter)
	}
	return query
}
