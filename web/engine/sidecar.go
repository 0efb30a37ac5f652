package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/sidecar"
)

const (
	// prefetchSize bounds what is fetched at once because others have read it first, in bytes. Half of what a server fetches: a phone pays for it.
	prefetchSize = 4 << 20
	// verifyAfter is how long after opening page tables that were borrowed are compared with the files. Who has closed the page by then has
	// saved the requests.
	verifyAfter = time.Minute
)

// borrowing is what a sidecar tells of a replica before it is opened. The zero value knows of none.
type borrowing struct {
	store objstore.RangeReader
	log   *slog.Logger
	side  sidecar.Sidecar
}

// layouts is an index.Options.Layouts.
func (b *borrowing) layouts(ctx context.Context) []*index.Layout {
	s, err := sidecar.Read(ctx, b.store)
	switch {
	case err == nil:
		b.side = *s
	case ctx.Err() == nil && !errors.Is(err, objstore.ErrNotFound):
		b.log.LogAttrs(ctx, slog.LevelWarn, "sidecar is not used; opening takes more requests", slog.Any("err", err))
	}
	return b.side.Layouts
}

// lent reports whether there was anything.
func (b *borrowing) lent() bool { return len(b.side.Layouts) > 0 }

// use puts pages into the cache, and has those fetched that others have read first.
func (r *Replica) use(b *borrowing) {
	v := r.tracker.View()
	r.source.Seed(v, b.side.Blobs)
	r.source.Prefetch(v, b.side.Profile, prefetchSize)
}

// verify makes a page that stays open for longer rest on the replica's files alone.
func (r *Replica) verify() {
	timer := time.NewTimer(verifyAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.running.Done():
		return
	}
	if err := r.tracker.Verify(r.running); err != nil && r.running.Err() == nil {
		r.opts.Log.LogAttrs(r.running, slog.LevelWarn, "page tables of the sidecar not verified", slog.Any("err", err))
	}
}
