package bulk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/ticker"
	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	// streams is how many long ranges are under way at once.
	streams = 8
	// shortRange is how long a range may be that needs none of the streams' buffers.
	shortRange = 128 << 10
	// maxFruitless is how often in a row files may be gone before anything was read from them.
	maxFruitless = 16
	// tellEvery is the time between two calls of OnProgress.
	tellEvery = 200 * time.Millisecond
)

// copier is one Copy under way.
type copier struct {
	src   Source
	v     *index.View
	w     io.WriterAt
	opts  Options
	left  *pageSet    // pages that are wanted and not written
	long  chan []byte // buffers of maxRange for long ranges
	runs  chan []byte // buffers of runSize, or of a page, for decoded pages
	limit int64       // the longest range of this round, in bytes
	total int64       // pages

	gone     atomic.Pointer[goneError] // why the plan is out of date
	requests atomic.Int64
	bytes    atomic.Int64
	expect   atomic.Int64 // bytes that will have been fetched
}

// Copy writes the given pages of v to w, each to its place in a database file. Pages above the commit size are left out, and so
// is the lock page. Different pages are written by different goroutines.
func Copy(ctx context.Context, src Source, v *index.View, pgnos iter.Seq[uint32], w io.WriterAt, opts Options) (Stats, error) {
	c := &copier{
		src: src, v: v, w: w, opts: opts.withDefaults(), left: newPageSet(v.Commit, pgnos),
		long: make(chan []byte, streams), runs: make(chan []byte, streams),
	}
	if v.LockPgno() <= v.Commit {
		c.left.remove(v.LockPgno())
	}
	c.total = c.left.len()
	for range streams {
		c.long <- nil
		c.runs <- nil
	}
	stop := c.tell()
	defer stop()
	rehomed, err := c.rounds(ctx)
	stats := Stats{Pages: c.total - c.left.len(), Requests: c.requests.Load(), Bytes: c.bytes.Load(), Rehomed: rehomed}
	return stats, err
}

// rounds goes over what is left until nothing is.
func (c *copier) rounds(ctx context.Context) (rehomed int64, err error) {
	for fruitless := 0; c.left.len() > 0; {
		if err := missing(c.v, c.left); err != nil {
			return rehomed, err
		}
		before := c.left.len()
		c.gone.Store(nil)
		if err := c.round(ctx); err != nil {
			return rehomed, err
		}
		if fruitless++; c.left.len() < before {
			fruitless = 0
		}
		gone := c.gone.Load()
		switch {
		case gone == nil && c.left.len() > 0 && fruitless > maxFruitless:
			return rehomed, fmt.Errorf("%d pages of txid %s were not where the index says: %w", c.left.len(), c.v.TXID, index.ErrCorrupt)
		case gone == nil:
			continue
		case c.src.Mover == nil || fruitless > maxFruitless:
			return rehomed, gone
		}
		if err := c.src.Mover.Rehome(ctx, c.v, gone.file); err != nil {
			return rehomed, err
		}
		rehomed++
	}
	return rehomed, nil
}

// goneError says that a file of the View is not in the bucket any more.
type goneError struct {
	file *index.File
	err  error
}

func (e *goneError) Error() string { return e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

// round plans and fetches what is left. It stops early when a file is gone; what is under way then is brought to its end, for it
// need not be fetched again.
func (c *copier) round(ctx context.Context) error {
	if err := c.unpack(ctx); err != nil {
		return err
	}
	s := look(c.v, c.left)
	hole := s.hole()
	c.limit = s.limit()
	c.expect.Store(c.bytes.Load() + s.wanted)
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(c.opts.Concurrency)
	for _, share := range s.files {
		for j := range plan(c.v, share.File, c.left, hole, c.limit) {
			if c.gone.Load() != nil || inner.Err() != nil {
				break
			}
			g.Go(func() error { return c.do(inner, j) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// do fetches one range and writes its pages. A file that is gone is no error here: it is kept for the end of the round.
func (c *copier) do(ctx context.Context, j job) error {
	raw, done, err := c.buffer(ctx, j.size())
	if err != nil {
		return err
	}
	defer done()
	err = c.src.Store.ReadAt(ctx, j.span.File.Ref(), raw, j.span.Off)
	if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged) {
		c.gone.CompareAndSwap(nil, &goneError{j.span.File, fmt.Errorf("%s: %w", j.span.File, err)})
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s at byte %d, %d bytes: %w", j.span.File, j.span.Off, j.size(), err)
	}
	c.requests.Add(1)
	c.bytes.Add(j.size())
	return c.write(ctx, j, raw)
}

// buffer returns n bytes of memory, and what gives them back.
func (c *copier) buffer(ctx context.Context, n int64) (raw []byte, done func(), err error) {
	if n <= shortRange {
		return make([]byte, n), func() {}, nil
	}
	raw, err = take(ctx, c.long)
	if err != nil {
		return nil, nil, err
	}
	if int64(len(raw)) < n {
		raw = make([]byte, max(n, c.limit))
	}
	return raw[:n], func() { c.long <- raw }, nil
}

func take(ctx context.Context, buffers chan []byte) ([]byte, error) {
	select {
	case b := <-buffers:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// write decodes the wanted pages of a range and writes them.
func (c *copier) write(ctx context.Context, j job, raw []byte) error {
	return c.withRun(ctx, func(r *run) error {
		for p := range wantedIn(j.span, c.v.Commit, c.left) {
			at := p.Frame.Off - j.span.Off
			if err := r.add(ctx, p, raw[at:at+p.Frame.Size]); err != nil {
				return err
			}
		}
		return nil
	})
}

// unpack writes the wanted pages of all pieces that are at hand.
func (c *copier) unpack(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(streams)
	for _, b := range c.src.Held.all() {
		g.Go(func() error {
			return c.withRun(ctx, func(r *run) error {
				for p, frame := range c.v.Held(b) {
					if !c.left.has(p.Pgno) {
						continue
					}
					if err := r.add(ctx, p, frame); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	return g.Wait()
}

// tell calls OnProgress now and then, until the returned function is called, and then once more.
func (c *copier) tell() (stop func()) {
	if c.opts.OnProgress == nil {
		return func() {}
	}
	return ticker.Every(tellEvery, func() { c.opts.OnProgress(c.progress()) })
}

func (c *copier) progress() Progress {
	bytes := c.bytes.Load()
	return Progress{
		Pages: c.total - c.left.len(), TotalPages: c.total,
		Bytes: bytes, TotalBytes: max(bytes, c.expect.Load()),
	}
}
