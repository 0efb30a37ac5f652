package pages

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// rehomings is how often one read looks for its page in other files before it gives up: each time, the files it was
// sent to had gone again.
const rehomings = 4

// Reader reads pages for one connection and learns from the order it asks in. It is used by one goroutine at a time.
// Close it.
type Reader struct {
	source  *Source
	streams [streamCount]stream
	clock   uint64 // counts misses; tells which stream was used last

	limit    int64 // requests a statement may make; 0 is any number
	requests int64 // made by this statement

	hits, misses atomic.Int64
}

// NewReader returns a Reader without a request budget.
func (s *Source) NewReader() *Reader {
	r := &Reader{source: s}
	s.mu.Lock()
	s.readers[r] = struct{}{}
	s.mu.Unlock()
	return r
}

// Close cancels what the Reader has asked for ahead.
func (r *Reader) Close() {
	r.dropStreams()
	s := r.source
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, open := s.readers[r]; open {
		delete(s.readers, r)
		s.retired.Hits += r.hits.Load()
		s.retired.Misses += r.misses.Load()
	}
}

// SetLimit bounds the requests between two calls of Begin. Zero is no bound.
func (r *Reader) SetLimit(n int64) { r.limit = n }

// Limit is the bound SetLimit has set.
func (r *Reader) Limit() int64 { return r.limit }

// Begin starts the count of requests anew: a new transaction.
func (r *Reader) Begin() { r.requests = 0 }

// ReadPage copies page pgno as of v into dst; len(dst) is v.PageSize. A page within the commit size that no file holds is
// index.ErrCorrupt, one that is gone from the bucket with everything that replaced it index.ErrViewExpired. When ctx ends the
// read ends.
func (r *Reader) ReadPage(ctx context.Context, v *index.View, pgno uint32, dst []byte) error {
	version, ok := v.Version(pgno)
	if !ok {
		return fmt.Errorf("page %d of %d has no frame at txid %s: %w", pgno, v.Commit, v.TXID, index.ErrCorrupt)
	}
	k := r.source.key(v, pgno, version)
	if page, ok := r.source.cache.get(k); ok {
		copy(dst, page)
		r.hits.Add(1)
		r.advance(ctx, v, pgno)
		return nil
	}
	r.misses.Add(1)
	return r.miss(ctx, v, pgno, dst)
}

// miss reads a page that is not in the cache.
func (r *Reader) miss(ctx context.Context, v *index.View, pgno uint32, dst []byte) (err error) {
	for range rehomings {
		p, ok := v.Lookup(pgno)
		if !ok {
			return fmt.Errorf("page %d of %d has no frame at txid %s: %w", pgno, v.Commit, v.TXID, index.ErrCorrupt)
		}
		if err = r.bring(ctx, v, p, dst); err == nil {
			return nil
		}
		if !errors.Is(err, objstore.ErrNotFound) && !errors.Is(err, objstore.ErrChanged) {
			return err
		}
		r.dropStreams() // they point into the file that is gone
		r.source.rehomed.Add(1)
		if err := r.source.rehomer.Rehome(ctx, v, p.Frame.File); err != nil {
			return fmt.Errorf("page %d at txid %s: %w", pgno, v.TXID, err)
		}
	}
	return err
}

// bring copies page p into dst: from bytes that came with an index, from a fetch under way, or from one of its own.
func (r *Reader) bring(ctx context.Context, v *index.View, p index.Page, dst []byte) error {
	s := r.source
	k := s.key(v, p.Pgno, p.Version)
	if frame, ok := s.cache.frame(s.fileKey(p.Frame.File), p.Frame); ok {
		return s.decodeHeld(k, p, frame, dst)
	}
	if f, ok := s.join(k); ok {
		if done, err := r.await(ctx, f, p, dst); done {
			r.advance(ctx, v, p.Pgno)
			return err
		}
	}
	for {
		if err := r.spend(); err != nil {
			return err
		}
		f, err := s.start(v, r.window(p), &p)
		if err != nil {
			return err
		}
		r.follow(ctx, v, f, p)
		if done, err := r.await(ctx, f, p, dst); done {
			return err
		}
		if !errors.Is(f.err, context.Canceled) || s.ctx.Err() != nil {
			return f.err
		}
		// It was another reader's flight, cancelled with that reader's statement.
	}
}

// decodeHeld decodes a page whose bytes are here.
func (s *Source) decodeHeld(k key, p index.Page, frame, dst []byte) error {
	page := make([]byte, len(dst))
	if err := index.DecodeFrame(frame, p.Pgno, page); err != nil {
		return fmt.Errorf("page %d of %s at byte %d: %w", p.Pgno, p.Frame.File, p.Frame.Off, err)
	}
	s.cache.put(k, page)
	copy(dst, page)
	return nil
}

// await waits for a flight, of which it has a reference, and copies page p. done is false when the flight failed: it may have
// been another reader's, cancelled with that reader's statement.
func (r *Reader) await(ctx context.Context, f *flight, p index.Page, dst []byte) (done bool, err error) {
	defer r.source.release(f)
	select {
	case <-f.done:
	case <-ctx.Done():
		return true, fmt.Errorf("page %d: %w", p.Pgno, context.Cause(ctx))
	}
	page, ok := f.page(p.Pgno)
	if !ok {
		return false, nil
	}
	copy(dst, page)
	return true, nil
}

// spend counts a request against the budget of the statement.
func (r *Reader) spend() error {
	if r.limit > 0 && r.requests >= r.limit {
		return fmt.Errorf("%w: %d requests; raise litestream_max_reqs_per_query, or set it to 0", ErrBudget, r.limit)
	}
	r.requests++
	return nil
}
