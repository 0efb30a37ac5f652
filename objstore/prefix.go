package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// WithPrefix returns a view of store in which every key is relative to prefix: "0000/a.ltx" stands for
// "<prefix>/0000/a.ltx". Slashes around prefix do not matter; with an empty prefix it is store itself. Errors go on
// naming the whole key, because that is what one looks up in the bucket.
func WithPrefix(store Store, prefix string) Store {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return store
	}
	return &prefixed{store: store, root: prefix + "/"}
}

type prefixed struct {
	store Store
	root  string // with its slash
}

func (s *prefixed) ref(ref Ref) Ref {
	return Ref{Key: s.key(ref.Key), ETag: ref.ETag}
}

// key leaves the empty key empty, so that the backend refuses it.
func (s *prefixed) key(key string) string {
	if key == "" {
		return ""
	}
	return s.root + key
}

func (s *prefixed) ReadAt(ctx context.Context, ref Ref, p []byte, off int64) error {
	return s.store.ReadAt(ctx, s.ref(ref), p, off)
}

func (s *prefixed) ReadSuffix(ctx context.Context, ref Ref, n int64) (Part, error) {
	return s.store.ReadSuffix(ctx, s.ref(ref), n)
}

func (s *prefixed) ReadPrefix(ctx context.Context, ref Ref, n int64) (Part, error) {
	return s.store.ReadPrefix(ctx, s.ref(ref), n)
}

func (s *prefixed) List(ctx context.Context, prefix, startAfter string) (Page, error) {
	page, err := s.store.List(ctx, s.root+prefix, s.key(startAfter))
	if err != nil {
		return Page{}, err
	}
	objects := make([]Info, len(page.Objects))
	for i, info := range page.Objects {
		key, ok := strings.CutPrefix(info.Key, s.root)
		if !ok {
			return Page{}, &OpError{Op: "list", Key: s.root + prefix, Err: fmt.Errorf("the listing holds %q", info.Key)}
		}
		info.Key = key
		objects[i] = info
	}
	return Page{Objects: objects, More: page.More}, nil
}

func (s *prefixed) Put(ctx context.Context, key string, body io.ReadSeeker, opts PutOptions) (string, error) {
	return s.store.Put(ctx, s.key(key), body, opts)
}

func (s *prefixed) Delete(ctx context.Context, keys ...string) error {
	whole := make([]string, len(keys))
	for i, key := range keys {
		if key == "" {
			return &OpError{Op: "delete", Key: s.root, Err: errors.New("the key is empty")}
		}
		whole[i] = s.root + key
	}
	return s.store.Delete(ctx, whole...)
}
