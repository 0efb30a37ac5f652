package pages

import (
	"context"
	"errors"
	"fmt"
	"math"
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
	layered uint32 // the Counter of the View whose files of middling size were asked for
	room    int64  // bytes that may lie ahead, as far as the reader has found out by losing them

	courses [courseCount]course
	books   [bookCount]book
	threads thread
	guesses []*flight // asked for ahead and perhaps still under way
	guessed int64     // pages of this transaction that guesses have brought
	right   int64     // of these, pages that were read
	way     []branch  // of climb, until the next call
	pgnos   []uint32  // room for a list
	scratch []byte    // of peek, until the next call

	limit    int64 // requests a statement may make; 0 is any number
	requests int64 // made by this statement

	hits, local, misses atomic.Int64
}

// NewReader returns a Reader without a request budget.
func (s *Source) NewReader() *Reader {
	r := &Reader{source: s, room: math.MaxInt64 / 2}
	s.mu.Lock()
	s.readers[r] = struct{}{}
	s.mu.Unlock()
	return r
}

// Close cancels what the Reader has asked for ahead.
func (r *Reader) Close() {
	r.dropStreams()
	r.dropGuesses()
	s := r.source
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, open := s.readers[r]; open {
		delete(s.readers, r)
		s.retired.Hits += r.hits.Load()
		s.retired.Local += r.local.Load()
		s.retired.Misses += r.misses.Load()
	}
}

// SetLimit bounds the requests between two calls of Begin. Zero is no bound.
func (r *Reader) SetLimit(n int64) { r.limit = n }

// Limit is the bound SetLimit has set.
func (r *Reader) Limit() int64 { return r.limit }

// Begin starts the counts of requests and of guesses anew: a new transaction.
func (r *Reader) Begin() { r.requests, r.guessed, r.right = 0, 0, 0 }

// ReadPage copies page pgno as of v into dst; len(dst) is v.PageSize. A page within the commit size that no file holds is
// index.ErrCorrupt, one that is gone from the bucket with everything that replaced it index.ErrViewExpired. When ctx ends the
// read ends.
func (r *Reader) ReadPage(ctx context.Context, v *index.View, pgno uint32, dst []byte) error {
	version, ok := v.Version(pgno)
	if !ok {
		return r.distrust(ctx, v, noFrame(v, pgno))
	}
	if rec := r.source.recorder.Load(); rec != nil {
		rec.note(pgno)
	}
	if guess, ok := r.source.cache.get(r.source.keyOf(v, pgno, version), dst); ok {
		r.hits.Add(1)
		if guess {
			r.right++
		}
		r.came(ctx, v, pgno, dst)
		return nil
	}
	if r.source.near().ReadPage(v, pgno, version, dst) {
		r.local.Add(1) // and not cached: the system caches the file
		r.came(ctx, v, pgno, dst)
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
			return r.distrust(ctx, v, noFrame(v, pgno))
		}
		if err = r.bring(ctx, v, p, dst); err == nil {
			return nil
		}
		if errors.Is(err, index.ErrCorrupt) {
			return r.distrust(ctx, v, err)
		}
		if !errors.Is(err, objstore.ErrNotFound) && !errors.Is(err, objstore.ErrChanged) {
			return err
		}
		r.dropStreams() // they point into the file that is gone
		r.dropGuesses()
		r.source.rehomed.Add(1)
		if err := r.source.rehomer.Rehome(ctx, v, p.Frame.File); err != nil {
			return fmt.Errorf("page %d at txid %s: %w", pgno, v.TXID, err)
		}
	}
	return err
}

// noFrame is the error for a page within the size of the database that no file holds.
func noFrame(v *index.View, pgno uint32) error {
	return fmt.Errorf("page %d of %d has no frame at txid %s: %w", pgno, v.Commit, v.TXID, index.ErrCorrupt)
}

// distrust returns what to make of a frame that is not what v says.
func (r *Reader) distrust(ctx context.Context, v *index.View, err error) error {
	if wrong := r.source.rehomer.Distrust(ctx, v); wrong != nil {
		return fmt.Errorf("%w (%v)", wrong, err)
	}
	return err
}

// bring copies page p into dst: from bytes that came with an index, from a fetch under way, or from one of its own.
func (r *Reader) bring(ctx context.Context, v *index.View, p index.Page, dst []byte) error {
	s := r.source
	if frame, ok := s.cache.frame(s.fileKey(v, p.Frame.File), p.Frame); ok {
		if err := s.decodeHeld(v, p, frame, dst); err != nil {
			return err
		}
		s.cache.get(s.key(v, p), nil) // counts as a read
		r.prime(v, p, dst)
		r.came(ctx, v, p.Pgno, dst)
		return nil
	}
	a := r.aim(v, p.Pgno)
	for {
		if ctx.Err() != nil {
			return fmt.Errorf("page %d: %w", p.Pgno, context.Cause(ctx))
		}
		f, own, err := r.board(ctx, v, p, &a)
		if err != nil {
			return err
		}
		err = r.await(ctx, f, s.key(v, p), dst)
		if err == nil {
			r.arrived(ctx, v, p, &a, dst)
		}
		if err == nil || own || ctx.Err() != nil || !f.ahead && f.file == p.Frame.File {
			return err
		}
		// What somebody asked for ahead, or from a file that is gone since, says nothing of this read: once more.
	}
}

// board finds a flight that brings p, or begins one. The caller waits for it from now on.
func (r *Reader) board(ctx context.Context, v *index.View, p index.Page, a *aim) (f *flight, own bool, err error) {
	s := r.source
	if f, ok := s.join(s.key(v, p)); ok {
		r.advance(ctx, v, p.Pgno, true)
		r.passed(ctx, v, p.Pgno, true)
		return f, false, nil
	}
	if err := r.spend(); err != nil {
		return nil, false, err
	}
	f, own, err = s.fetch(ctx, v, p, r.around(p, a))
	if !own {
		r.requests--
		if err == nil {
			r.passed(ctx, v, p.Pgno, false) // it has come just now; a scan that does not notice has to begin anew
		}
		return f, false, err
	}
	switch {
	case a.known():
		r.guess(ctx, v, p.Pgno, a)
	case !r.pull(ctx, v, p.Pgno):
		r.follow(ctx, v, p, f)
	}
	return f, true, nil
}

// decodeHeld decodes a page whose bytes are here.
func (s *Source) decodeHeld(v *index.View, p index.Page, frame, dst []byte) error {
	leave, ok := s.enter()
	if !ok {
		return errClosed
	}
	defer leave()
	page, err := decode(p, frame, uint32(len(dst)))
	if err != nil {
		return err
	}
	copy(dst, page)
	s.keep(v, p, page, purpose{}).own()
	return nil
}

// keep is for a page that was decoded: it stays in the cache, and nearer than the bucket. It returns the entry of the cache, if there is one.
func (s *Source) keep(v *index.View, p index.Page, page []byte, why purpose) (e *entry) {
	s.atlas.learn(p.Pgno, page)
	switch {
	case why.raw: // is kept
	case why.tree != nil:
		e = s.cache.putGuess(s.key(v, p), page, why.tree)
	default:
		e = s.cache.put(s.key(v, p), page, why.scan)
	}
	if near := s.near(); near != Local(nowhere{}) {
		e.lend()
		near.Offer(v, p.Pgno, p.Version, page)
	}
	return e
}

// await waits for a flight, which the caller has joined, and copies page k.
func (r *Reader) await(ctx context.Context, f *flight, k key, dst []byte) error {
	s := r.source
	defer s.leave(f)
	select {
	case <-f.done:
	case <-ctx.Done():
		return fmt.Errorf("page %d: %w", k.pgno, context.Cause(ctx))
	}
	page, err := f.page(k)
	if err != nil {
		return err
	}
	copy(dst, page)
	if guess, _ := s.cache.get(k, nil); guess { // counts as a read
		r.right++
	}
	return nil
}

// spend counts a request against the budget of the statement.
func (r *Reader) spend() error {
	if r.limit > 0 && r.requests >= r.limit {
		return fmt.Errorf("%w: %d requests; raise litestream_max_reqs_per_query, or set it to 0", ErrBudget, r.limit)
	}
	r.requests++
	return nil
}
