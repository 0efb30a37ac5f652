//go:build js && wasm

package fetchstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/reply"
)

// Store is the objects of a Place. Its methods are safe for concurrent use.
type Store struct {
	place  Place
	lister atomic.Int32 // which of the place's listings answers, from 1; 0 is not known
}

var _ objstore.Store = (*Store)(nil)

// Open returns the store of a Place. It asks nothing of the server.
func Open(place Place) *Store {
	return &Store{place: place}
}

// ReadAt implements objstore.RangeReader with one GET.
func (s *Store) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	return reply.Get(s.get).ReadAt(ctx, ref, p, off)
}

// ReadSuffix implements objstore.RangeReader with one GET, or two if the object is empty. Of the ranges it is the one that costs a
// preflight; who knows an object's size had better use ReadAt.
func (s *Store) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return reply.Get(s.get).ReadSuffix(ctx, ref, n)
}

// ReadPrefix implements objstore.RangeReader with one GET, or two if the object is empty.
func (s *Store) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return reply.Get(s.get).ReadPrefix(ctx, ref, n)
}

// get is a reply.Get with one GET, or two when the first was signed with credentials that had expired.
func (s *Store) get(ctx context.Context, ref objstore.Ref, bytesRange string, take func(*reply.Answer) error) error {
	err := s.signed(ctx, func() error {
		target, err := s.place.Object(ctx, ref.Key)
		if err != nil {
			return err
		}
		return getOnce(ctx, target, ref.ETag, bytesRange, take)
	})
	if err != nil {
		return &objstore.OpError{Op: "get", Key: ref.Key, Err: err}
	}
	return nil
}

func getOnce(ctx context.Context, target, etag, bytesRange string, take func(*reply.Answer) error) error {
	r, err := success(fetch(ctx, target, bytesRange))
	if err != nil {
		return err
	}
	defer r.Close()
	answer, err := r.answer()
	switch {
	case err != nil:
		return err
	case etag != "" && answer.ETag == "":
		return hidden("ETag")
	case etag != "" && answer.ETag != etag:
		return fmt.Errorf("its etag is %.60q, not %q: %w", answer.ETag, etag, objstore.ErrChanged)
	}
	return take(answer)
}

// maxError is what is read of an answer that is none.
const maxError = 4 << 10

// success lets through an answer with the object in it.
func success(r *response, err error) (*response, error) {
	if err != nil || r.status == 200 || r.status == 206 {
		return r, err
	}
	defer r.Close()
	text, err := r.text(maxError)
	if err != nil {
		text = "" // the status says enough
	}
	return nil, newStatusError(r.status, text)
}

// signed makes a request, and once more when its credentials have expired and there may be better ones.
func (s *Store) signed(ctx context.Context, request func() error) error {
	err := request()
	if errors.Is(err, ErrExpired) && s.place.Refused() && ctx.Err() == nil {
		err = request()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// maxListing bounds what is read of one page: 1000 keys of 1024 bytes, escaped, and as much around them.
const maxListing = 8 << 20

// List implements objstore.Lister with one ListObjectsV2, once it is known where.
func (s *Store) List(ctx context.Context, prefix, startAfter string) (page objstore.Page, err error) {
	err = s.signed(ctx, func() error {
		page, err = s.list(ctx, prefix, startAfter)
		return err
	})
	if err == nil {
		err = reply.CheckPage(page, prefix, startAfter)
	}
	if err != nil {
		return objstore.Page{}, &objstore.OpError{Op: "list", Key: prefix, Err: err}
	}
	return page, nil
}

func (s *Store) list(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	places, err := s.place.Listings(ctx, prefix, startAfter)
	if err != nil {
		return objstore.Page{}, err
	}
	if n := int(s.lister.Load()); n > 0 && n <= len(places) {
		return listOnce(ctx, places[n-1])
	}
	var refusals []string
	kind := objstore.ErrUnsupported
	for i, place := range places {
		page, err := listOnce(ctx, place)
		switch {
		case err == nil:
			s.lister.Store(int32(i + 1))
			return page, nil
		case len(places) == 1, !refused(err):
			return objstore.Page{}, err
		case errors.Is(err, ErrCORS):
			kind = ErrCORS
		}
		refusals = append(refusals, err.Error())
	}
	return objstore.Page{}, fmt.Errorf("no public S3 bucket answers a listing (%s); allow s3:ListBucket to everybody, or use an s3:// URL"+
		" with credentials: %w", strings.Join(refusals, "; "), kind)
}

// refused says whether a server has answered, for good, that there is no listing to be had here.
func refused(err error) bool {
	var status *statusError
	if errors.As(err, &status) {
		return !errors.Is(status, objstore.ErrTemporary)
	}
	return errors.Is(err, reply.ErrNoListing) || errors.Is(err, ErrCORS) // S3 itself, at whose root there is no bucket with a rule
}

func listOnce(ctx context.Context, place Listing) (objstore.Page, error) {
	r, err := success(fetch(ctx, place.URL, ""))
	if err != nil {
		return objstore.Page{}, err
	}
	defer r.Close()
	text, err := r.text(maxListing + 1)
	switch {
	case err != nil:
		return objstore.Page{}, err
	case len(text) > maxListing:
		return objstore.Page{}, reply.ErrNoListing
	}
	return reply.ParseListing(text, place.Root)
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
