package merge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// ErrConflict: the name of the new file is taken by one that says something else.
var ErrConflict = errors.New("another file with this name says something else")

// Store is what publishing takes.
type Store interface {
	objstore.RangeReader
	objstore.Putter
}

// Published is a file that is in the bucket and was found sound there.
type Published struct {
	File    index.File
	Facts   Facts
	Existed bool // somebody else had written an equal one
}

// Publish uploads a new file, unless its name is taken, and reads it back from the bucket, every byte. Only after that may
// what it was made of be removed. When the name is taken by a file that says the same, that one is as good.
func Publish(ctx context.Context, store Store, f *File, opts Options) (Published, error) {
	f.told = opts
	opts.tell(Storing, 0, f.Facts.Pages)
	target := f.Target.File()
	etag, err := store.Put(ctx, target.Key(), f.Data, objstore.PutOptions{
		OnlyCreate: true, Timestamp: time.UnixMilli(f.Facts.Header.Timestamp).UTC(),
	})
	switch {
	case err == nil:
		target.ETag, target.Size = etag, f.Facts.Size
		return f.readBack(ctx, store, target, false)
	case errors.Is(err, objstore.ErrExists):
		return f.readBack(ctx, store, target, true)
	case mayHaveArrived(ctx, err):
		if p, errBack := f.readBack(ctx, store, target, false); errBack == nil {
			return p, nil
		}
	}
	return Published{}, fmt.Errorf("%s: %w", &target, err)
}

// mayHaveArrived reports whether a put that failed may have stored the object nevertheless.
func mayHaveArrived(ctx context.Context, err error) bool {
	return ctx.Err() == nil && (errors.Is(err, objstore.ErrTemporary) || errors.Is(err, context.DeadlineExceeded))
}

// readBack checks the object in the bucket and compares it with f.
func (f *File) readBack(ctx context.Context, store objstore.RangeReader, at index.File, existed bool) (Published, error) {
	facts, err := check(ctx, store, at, func(pages int64) { f.told.tell(Checking, pages, f.Facts.Pages) })
	if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged) {
		return Published{}, fmt.Errorf("the store took it, and does not have it: %w", err)
	}
	if err != nil {
		return Published{}, fmt.Errorf("read back: %w", err)
	}
	if facts.Checksum != f.Facts.Checksum || facts.Size != f.Facts.Size {
		if !existed {
			return Published{}, fmt.Errorf("%s: read back %d bytes with checksum %s instead of %d with %s: %w",
				&at, facts.Size, facts.Checksum, f.Facts.Size, f.Facts.Checksum, index.ErrCorrupt)
		}
		if err := f.compare(ctx, store, at, facts); err != nil {
			return Published{}, err
		}
	}
	at.Size, at.ETag = facts.Size, facts.ETag
	return Published{File: at, Facts: facts, Existed: existed}, nil
}

// compare decides whether an object that is not the same bytes says the same: encoders differ.
func (f *File) compare(ctx context.Context, store objstore.RangeReader, at index.File, facts Facts) error {
	theirs, ours := facts.Header, f.Facts.Header
	if theirs.PageSize != ours.PageSize || theirs.Commit != ours.Commit || facts.Pages != f.Facts.Pages {
		return fmt.Errorf("%s has %d of %d pages of %d bytes, the new one %d of %d of %d; nothing was changed: %w", &at,
			facts.Pages, theirs.Commit, theirs.PageSize, f.Facts.Pages, ours.Commit, ours.PageSize, ErrConflict)
	}
	at.Size, at.ETag = facts.Size, facts.ETag
	var a, b content
	if _, err := verify(ctx, store, &at, &a, nil); err != nil {
		return err
	}
	mine := at
	mine.Size = f.Facts.Size
	if _, err := verify(ctx, &local{data: f.Data, size: mine.Size}, &mine, &b, nil); err != nil {
		return err
	}
	if a.value() != b.value() {
		return fmt.Errorf("%s has other pages than the new one; nothing was changed: %w", &at, ErrConflict)
	}
	return nil
}
