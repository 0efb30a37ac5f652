package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// measureHydrate fills a local copy, beside plain GETs of the same bytes that are written to a file; looks rows up while that goes on,
// and when it is done.
func measureHydrate(ctx context.Context, b *bench) (err error) {
	dir, err := os.MkdirTemp("", "litefs-s3-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "copy.db")
	var filled filling // the fastest, as with the plain ways: the first to use memory has to get it from the host
	for round := range len(rawWays) {
		if err := errors.Join(os.RemoveAll(path), os.RemoveAll(path+"-hydration")); err != nil {
			return err
		}
		f, err := b.hydrate(ctx, path)
		if err != nil {
			return err
		}
		if round == 0 {
			filled = f
		}
		if f.took < filled.took {
			filled.pass, filled.open = f.pass, f.open
		}
	}
	newest, err := b.newest(ctx)
	if err != nil {
		return err
	}
	size := totalSize(newest)
	raw, err := b.copied(ctx, newest, filepath.Join(dir, "raw"), size)
	if err != nil {
		return err
	}
	full, err := b.copied(ctx, newest, filepath.Join(dir, "full"), filled.pages)
	if err != nil {
		return err
	}
	b.add("how=hydrate", append(plain(filled.pass, size),
		figure{"of raw", share, raw.took.Seconds() / filled.took.Seconds()},
		figure{"of raw+pages", share, full.took.Seconds() / filled.took.Seconds()},
		figure{"open", millis, ms(filled.open)}, figure{"GETs", count, float64(filled.seen.gets())},
		figure{"fetched/needed", each, float64(filled.fetched) / float64(size)},
		figure{"resident above reader", byteSize, float64(filled.resident)})...)
	b.add("how=raw", plain(*raw, size)...)
	b.add("how=raw+pages", plain(*full, size)...)

	c := b.config()
	c.CacheSize = 1 << 20 // what is measured is the file, and not the memory
	c.Hydration.Path = path
	ids := make([]int, b.times(20000))
	for i := range ids {
		ids[i] = 1 + b.rng.IntN(b.Data.Posts)
	}
	for _, conns := range []int{1, 4} {
		if err := b.warm(ctx, fmt.Sprintf("after/conns=%d", conns), c, ids, conns); err != nil {
			return err
		}
	}
	return b.meanwhile(ctx)
}

// filling is how a copy was filled.
type filling struct {
	pass
	fetched  int64         // bytes, by the walk
	open     time.Duration // of the replica, before
	pages    int64         // bytes of the database
	resident int64         // most bytes in memory, above those of the reader before
}

// hydrate fills a copy from nothing.
func (b *bench) hydrate(ctx context.Context, path string) (f filling, err error) {
	d, err := b.ready(ctx, b.config())
	if err != nil {
		return f, err
	}
	before, _ := resident() // none but on Linux
	if err := errors.Join(d.close(), b.proxy.reset(ctx)); err != nil {
		return f, err
	}
	c := b.config()
	c.Hydration.Path = path
	opening := time.Now()
	d, err = b.open(ctx, c)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	f.open = time.Since(opening)
	t := startTimer()
	if _, err := d.conn.ExecContext(ctx, "PRAGMA litestream_hydrate = 'wait'"); err != nil {
		return f, err
	}
	f.took, f.cpu = t.stop()
	after, _ := resident()
	if f.seen, err = b.proxy.read(ctx); err != nil {
		return f, err
	}
	s, err := d.status(ctx)
	if err != nil {
		return f, err
	}
	f.fetched, f.pages, f.resident = s.Hydration.Fetched, s.Position.Bytes, after.peak-before.now
	return f, nil
}

// newest returns where the newest versions of all pages lie.
func (b *bench) newest(ctx context.Context) ([]extent, error) {
	store, err := b.store(ctx)
	if err != nil {
		return nil, err
	}
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err != nil {
		return nil, err
	}
	v := tracker.View()
	var all []extent
	for _, f := range v.Files() {
		span, ok := v.Whole(f)
		if !ok {
			continue
		}
		key, from := f.Key(), len(all)
		for p := range span.Pages() {
			all = append(all, extent{key, p.Frame.Off, p.Frame.Off + p.Frame.Size})
		}
		all = append(all[:from], merged(slices.Clone(all[from:]))...)
	}
	return all, nil
}

// copied fetches the extents in the plain ways, writes size bytes to a file meanwhile, and returns the fastest.
func (b *bench) copied(ctx context.Context, extents []extent, path string, size int64) (*pass, error) {
	store, err := b.store(ctx)
	if err != nil {
		return nil, err
	}
	share := float64(size) / float64(totalSize(extents))
	var best *pass
	for _, way := range rawWays {
		file, err := os.Create(path)
		if err != nil {
			return nil, err
		}
		t := startTimer()
		err = copyParts(ctx, store, parts(joined(extents), way.part), way.parallel, file, share)
		took, cpu := t.stop()
		if err := errors.Join(err, file.Close(), os.Remove(path)); err != nil {
			return nil, err
		}
		if best == nil || took < best.took {
			best = &pass{took: took, cpu: cpu}
		}
	}
	return best, nil
}

// joined closes holes that are shorter than a request is worth.
func joined(extents []extent) []extent {
	const hole = 64 << 10
	var out []extent
	for _, e := range extents {
		if last := len(out) - 1; last >= 0 && out[last].key == e.key && e.off-out[last].end <= hole {
			out[last].end = e.end
			continue
		}
		out = append(out, e)
	}
	return out
}

// copyParts fetches pieces and writes share times as many bytes.
func copyParts(ctx context.Context, store objstore.RangeReader, pieces []extent, parallel int, file *os.File, share float64) error {
	at := make([]int64, len(pieces)) // in the file
	total := int64(0)
	for i, p := range pieces {
		at[i] = total
		total += int64(float64(p.size()) * share)
	}
	return spread(ctx, len(pieces), parallel, func() func(context.Context, int) error {
		var buf []byte
		return func(ctx context.Context, i int) error {
			p := pieces[i]
			n := max(p.size(), int64(float64(p.size())*share))
			buf = slices.Grow(buf[:0], int(n))[:n]
			if err := store.ReadAt(ctx, objstore.Ref{Key: p.key}, buf[:p.size()], p.off); err != nil {
				return err
			}
			_, err := file.WriteAt(buf[:int64(float64(p.size())*share)], at[i])
			return err
		}
	})
}

// meanwhileLookups is how many lookups are compared at most: later ones hardly ask the bucket any more.
const meanwhileLookups = 400

// meanwhile looks rows up while a copy is filled, and as many without a copy.
func (b *bench) meanwhile(ctx context.Context) error {
	with := b.config()
	with.Hydrate = true
	during, err := b.lookupsWhile(ctx, with, b.times(meanwhileLookups))
	if err != nil {
		return err
	}
	without, err := b.lookupsWhile(ctx, b.config(), len(during.times))
	if err != nil {
		return err
	}
	b.add("meanwhile", append(timed(during.times), figure{"local, first half", share, during.local[0]},
		figure{"local, second half", share, during.local[1]}, figure{"lookups", count, float64(len(during.times))})...)
	b.add("meanwhile/without", timed(without.times)...)
	return nil
}

// whiles are lookups: how long each took, and which share of the pages came from the local copy.
type whiles struct {
	times []time.Duration
	local [2]float64 // in the first half and the second
}

// lookupsWhile looks up n random rows, or fewer when the local copy is complete before.
func (b *bench) lookupsWhile(ctx context.Context, c litefss3.Config, n int) (w whiles, err error) {
	d, err := b.ready(ctx, c)
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	l, err := d.lookup(ctx, postByID)
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	var at []litefss3.Status
	for len(w.times) < n {
		start := time.Now()
		if err := l.row(ctx, 1+b.rng.IntN(b.Data.Posts)); err != nil {
			return w, err
		}
		w.times = append(w.times, time.Since(start))
		s, err := d.status(ctx)
		if err != nil {
			return w, err
		}
		at = append(at, s)
		if s.Hydration != nil && s.Hydration.State == "complete" {
			break
		}
	}
	w.local = [2]float64{localShare(at[0], at[len(at)/2]), localShare(at[len(at)/2], at[len(at)-1])}
	return w, nil
}

// localShare is the share of pages that came from the local copy between two moments, among those that memory did not have.
func localShare(from, to litefss3.Status) float64 {
	local, missed := to.Cache.Local-from.Cache.Local, to.Cache.Misses-from.Cache.Misses
	return float64(local) / float64(max(1, local+missed))
}
