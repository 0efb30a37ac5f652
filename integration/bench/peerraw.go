package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// plainContests are the limits: what the least requests take that could answer, by plain GETs through the same client.
func (b *bench) plainContests(ctx context.Context) error {
	store, err := b.store(ctx)
	if err != nil {
		return err
	}
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err != nil {
		return err
	}
	v := tracker.View()
	if err := b.plainFirst(ctx, store, v); err != nil {
		return err
	}
	if err := b.plainRows(ctx, "what=points", store, v, 200, 0); err != nil {
		return err
	}
	if err := b.plainRows(ctx, "what=join", store, v, 50, 10); err != nil {
		return err
	}
	return b.plainScans(ctx, store)
}

// plainFirst lists the replica, gets the ends of all its files at once, and then one page.
func (b *bench) plainFirst(ctx context.Context, store objstore.Store, v *index.View) error {
	if err := b.proxy.reset(ctx); err != nil {
		return err
	}
	start := time.Now()
	if _, err := store.List(ctx, "", ""); err != nil {
		return err
	}
	var ends []extent
	for _, f := range v.Files() {
		ends = append(ends, extent{f.Key(), max(0, f.Size-64<<10), f.Size})
	}
	if err := fetch(ctx, store, ends, len(ends)); err != nil {
		return err
	}
	if err := b.plainPages(ctx, store, v, 1); err != nil {
		return err
	}
	took := time.Since(start)
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return err
	}
	b.addPeer("what=first", "how=raw", []time.Duration{took}, 0, seen)
	return nil
}

// plainRows gets n times a random page, one after another, and after each so many more at once.
func (b *bench) plainRows(ctx context.Context, what string, store objstore.Store, v *index.View, n, more int) error {
	if err := b.proxy.reset(ctx); err != nil {
		return err
	}
	times := make([]time.Duration, b.times(n))
	for i := range times {
		start := time.Now()
		if err := b.plainPages(ctx, store, v, 1); err != nil {
			return err
		}
		if err := b.plainPages(ctx, store, v, more); err != nil {
			return err
		}
		times[i] = time.Since(start)
	}
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return err
	}
	b.addPeer(what, "how=raw", times, 0, seen)
	return nil
}

// plainPages gets so many random frames at once.
func (b *bench) plainPages(ctx context.Context, store objstore.Store, v *index.View, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	for range n {
		p, ok := v.Lookup(1 + b.rng.Uint32N(v.Commit))
		if !ok {
			continue // the lock page
		}
		g.Go(func() error {
			return store.ReadAt(ctx, p.Frame.File.Ref(), make([]byte, p.Frame.Size), p.Frame.Off)
		})
	}
	return g.Wait()
}

// plainScans gets the bytes that this project's scans have needed, in the fastest of the plain ways.
func (b *bench) plainScans(ctx context.Context, store objstore.Store) error {
	for _, c := range b.contests() {
		if c.what != "what=scan" && c.what != "what=scan-part" {
			continue
		}
		needed, err := b.neededBy(ctx, c)
		if err != nil {
			return err
		}
		s := &scanning{bench: b}
		best, err := s.raw(ctx, needed)
		if err != nil {
			return err
		}
		b.add(c.what+"/how=raw", figure{"time", millis, ms(best.took)}, figure{"n", count, 1}, figure{"bytes", byteSize, float64(totalSize(needed))})
	}
	return nil
}

// neededBy is what a contest makes this project fetch.
func (b *bench) neededBy(ctx context.Context, c contest) ([]extent, error) {
	d, err := b.ready(ctx, b.config())
	if err != nil {
		return nil, err
	}
	ours := &driver{db: d}
	for _, a := range c.timed {
		if _, _, err := ours.ask(ctx, a.query, a.args); err != nil {
			return nil, err
		}
	}
	if err := ours.stop(); err != nil {
		return nil, err
	}
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return nil, err
	}
	return extentsOf(seen.Transcript)
}
