package memstore

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// defaultPageSize is S3's.
const defaultPageSize = 1000

// Store is an object store in memory. The zero value is empty and ready. It must not be copied after first use.
type Store struct {
	// Now is the clock for Modified. Nil means time.Now. Set it before first use.
	Now func() time.Time
	// PageSize is the number of objects in a full page of List. Zero means 1000. Set it before first use.
	PageSize int

	mu      sync.RWMutex
	objects map[string]Object // guarded by mu; the Data of an object is never written again
	keys    []string          // guarded by mu; those of objects, in byte order
}

var _ objstore.Store = (*Store)(nil)

// Object is everything the store knows of one object.
type Object struct {
	objstore.Info
	Data      []byte
	Timestamp time.Time // as given to Put
}

// ReadAt implements objstore.RangeReader.
func (s *Store) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	if err := objstore.ValidateRange(off, int64(len(p))); err != nil {
		return opError("get", ref.Key, err)
	}
	if len(p) == 0 {
		return nil
	}
	o, err := s.get(ctx, ref)
	if err != nil {
		return opError("get", ref.Key, err)
	}
	if off+int64(len(p)) > o.Size {
		return opError("get", ref.Key, fmt.Errorf("bytes %d to %d of %d: %w",
			off, off+int64(len(p)), o.Size, objstore.ErrShortObject))
	}
	copy(p, o.Data[off:])
	return nil
}

// ReadSuffix implements objstore.RangeReader.
func (s *Store) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return s.readPart(ctx, ref, n, func(size int64) (from, to int64) { return max(0, size-n), size })
}

// ReadPrefix implements objstore.RangeReader.
func (s *Store) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return s.readPart(ctx, ref, n, func(size int64) (from, to int64) { return 0, min(n, size) })
}

func (s *Store) readPart(ctx context.Context, ref objstore.Ref, n int64, span func(size int64) (from, to int64)) (
	objstore.Part, error,
) {
	if err := objstore.ValidateSpan(n); err != nil {
		return objstore.Part{}, opError("get", ref.Key, err)
	}
	o, err := s.get(ctx, ref)
	if err != nil {
		return objstore.Part{}, opError("get", ref.Key, err)
	}
	from, to := span(o.Size)
	return objstore.Part{Data: bytes.Clone(o.Data[from:to]), Off: from, Size: o.Size, ETag: o.ETag}, nil
}

// get returns the object of ref in the version ref asks for.
func (s *Store) get(ctx context.Context, ref objstore.Ref) (Object, error) {
	if err := ctx.Err(); err != nil {
		return Object{}, err
	}
	if err := objstore.ValidateKey(ref.Key); err != nil {
		return Object{}, err
	}
	s.mu.RLock()
	o, ok := s.objects[ref.Key]
	s.mu.RUnlock()
	switch {
	case !ok:
		return Object{}, objstore.ErrNotFound
	case ref.ETag != "" && ref.ETag != o.ETag:
		return Object{}, fmt.Errorf("its etag is %s, not %s: %w", o.ETag, ref.ETag, objstore.ErrChanged)
	}
	return o, nil
}

// List implements objstore.Lister.
func (s *Store) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	if err := ctx.Err(); err != nil {
		return objstore.Page{}, opError("list", prefix, err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var page objstore.Page
	for _, key := range s.keys[s.firstLocked(prefix, startAfter):] {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		if len(page.Objects) == s.pageSize() {
			page.More = true
			break
		}
		page.Objects = append(page.Objects, s.objects[key].Info)
	}
	return page, nil
}

// firstLocked returns the index in keys of the first one that is at least prefix and greater than startAfter.
func (s *Store) firstLocked(prefix, startAfter string) int {
	i, _ := slices.BinarySearch(s.keys, prefix)
	j, found := slices.BinarySearch(s.keys, startAfter)
	if found {
		j++
	}
	return max(i, j)
}

func (s *Store) pageSize() int {
	if s.PageSize > 0 {
		return s.PageSize
	}
	return defaultPageSize
}

// Put implements objstore.Putter.
func (s *Store) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	o, err := s.newObject(ctx, key, body, opts)
	if err != nil {
		return "", opError("put", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkConditionLocked(key, opts); err != nil {
		return "", opError("put", key, err)
	}
	s.storeLocked(o)
	return o.ETag, nil
}

// newObject reads the whole body before the store changes.
func (s *Store) newObject(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (Object, error) {
	if err := ctx.Err(); err != nil {
		return Object{}, err
	}
	if err := objstore.ValidateKey(key); err != nil {
		return Object{}, err
	}
	if err := opts.Validate(); err != nil {
		return Object{}, err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return Object{}, fmt.Errorf("rewind body: %w", err)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return Object{}, fmt.Errorf("read body: %w", err)
	}
	sum := md5.Sum(data)
	info := objstore.Info{Key: key, Size: int64(len(data)), ETag: hex.EncodeToString(sum[:]), Modified: s.now()}
	return Object{Info: info, Data: data, Timestamp: opts.Timestamp}, nil
}

func (s *Store) checkConditionLocked(key string, opts objstore.PutOptions) error {
	old, exists := s.objects[key]
	switch {
	case opts.OnlyCreate && exists:
		return objstore.ErrExists
	case opts.IfMatch != "" && !exists:
		return fmt.Errorf("it is not there any more: %w", objstore.ErrChanged)
	case opts.IfMatch != "" && old.ETag != opts.IfMatch:
		return fmt.Errorf("its etag is %s, not %s: %w", old.ETag, opts.IfMatch, objstore.ErrChanged)
	}
	return nil
}

func (s *Store) storeLocked(o Object) {
	if s.objects == nil {
		s.objects = make(map[string]Object)
	}
	if i, found := slices.BinarySearch(s.keys, o.Key); !found {
		s.keys = slices.Insert(s.keys, i, o.Key)
	}
	s.objects[o.Key] = o
}

// Delete implements objstore.Deleter.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return opError("delete", key, err)
		}
		if err := objstore.ValidateKey(key); err != nil {
			return opError("delete", key, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if i, found := slices.BinarySearch(s.keys, key); found {
			s.keys = slices.Delete(s.keys, i, i+1)
			delete(s.objects, key)
		}
	}
	return nil
}

// Keys returns the keys of all objects in byte order.
func (s *Store) Keys() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.keys)
}

// Objects returns all objects in the order of their keys. Their Data is the store's own: do not write to it.
func (s *Store) Objects() []Object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]Object, 0, len(s.keys))
	for _, key := range s.keys {
		all = append(all, s.objects[key])
	}
	return all
}

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func opError(op, key string, err error) error {
	return &objstore.OpError{Op: op, Key: key, Err: err}
}
