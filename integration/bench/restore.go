package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/restore"
	"github.com/litefs-s3/litefs-s3/verify"
)

// rival is a plain way to do what a restore does: the same bytes are fetched in parallel ranges and written to a file, one after another.
type rival struct {
	name  string
	size  int64 // bytes to write; more than are fetched are made of nothing
	flush bool  // at the end, as a restore has to
	best  pass
}

// measureRestore restores the newest state, beside unmodified litestream and plain GETs that are written to a file; then it looks at every
// byte of the replica. Restores and plain ways take turns, and of each the fastest counts.
func measureRestore(ctx context.Context, b *bench) (err error) {
	dir, err := os.MkdirTemp("", "litefs-s3-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	newest, err := b.newest(ctx)
	if err != nil {
		return err
	}
	var ours restored
	var rivals []*rival
	for n := range rawWays {
		r, err := b.restore(ctx, filepath.Join(dir, "restored.db"), n == 0)
		if err != nil {
			return err
		}
		if n == 0 {
			rivals = rivalsOf(totalSize(newest), r.report.Bytes)
		}
		if n == 0 || r.took < ours.took {
			r.peak = max(r.peak, ours.peak)
			ours = r
		}
		for _, rival := range rivals {
			if err := b.compete(ctx, rival, newest, n, filepath.Join(dir, "plain")); err != nil {
				return err
			}
		}
	}
	theirs, err := b.litestreamRestores(ctx, filepath.Join(dir, "litestream.db"))
	if err != nil {
		return err
	}
	b.addRestored(ours, rivals, theirs, totalSize(newest))
	return b.verified(ctx)
}

func rivalsOf(frames, database int64) []*rival {
	return []*rival{
		{name: "raw", size: frames}, {name: "raw+flush", size: frames, flush: true},
		{name: "raw+pages", size: database}, {name: "raw+pages+flush", size: database, flush: true},
	}
}

// addRestored adds the rows; size is what had to be fetched.
func (b *bench) addRestored(ours restored, rivals []*rival, theirs time.Duration, size int64) {
	figures := plain(ours.pass, size)
	for _, r := range rivals {
		figures = append(figures, figure{"of " + r.name, share, r.best.took.Seconds() / ours.took.Seconds()})
	}
	b.add("how=restore", append(figures,
		figure{"times litestream", each, theirs.Seconds() / ours.took.Seconds()},
		figure{"open", millis, ms(ours.open)}, figure{"GETs", count, float64(ours.seen.gets())},
		figure{"fetched/needed", each, float64(ours.seen.Stats.BytesOut) / float64(size)},
		figure{"peak above before", byteSize, float64(ours.peak)})...)
	for _, r := range rivals {
		b.add("how="+r.name, plain(r.best, size)...)
	}
	b.add("how=litestream", plain(pass{took: theirs}, size)...)
}

// restored is how a restore went.
type restored struct {
	pass
	report restore.Report
	open   time.Duration // of the replica; part of what it took
	peak   int64         // most bytes in memory, above those before
}

// restore opens the replica and makes a file of its newest state. It weighs the process only if it is told to: memory that was given back
// has to be got again.
func (b *bench) restore(ctx context.Context, path string, weigh bool) (r restored, err error) {
	store, err := b.store(ctx)
	if err != nil {
		return r, err
	}
	if err := b.proxy.reset(ctx); err != nil {
		return r, err
	}
	var before residence
	if weigh {
		if before, err = b.quiet(); err != nil {
			return r, err
		}
	}
	t := startTimer()
	held := new(bulk.Held)
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1, OnLoad: held.Keep})
	if err != nil {
		return r, err
	}
	r.open = time.Since(t.start)
	src := bulk.Source{Store: store, Mover: tracker, Held: held}
	if r.report, err = restore.File(ctx, src, tracker.View(), path, restore.Options{}); err != nil {
		return r, err
	}
	r.took, r.cpu = t.stop()
	if weigh {
		after, _ := resident() // none but on Linux
		r.peak = after.peak - before.now
	}
	if r.seen, err = b.proxy.read(ctx); err != nil {
		return r, err
	}
	return r, os.Remove(path)
}

// compete lets a rival have its n-th try.
func (b *bench) compete(ctx context.Context, r *rival, extents []extent, n int, path string) error {
	store, err := b.store(ctx)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	way, stretch := rawWays[n], float64(r.size)/float64(totalSize(extents))
	t := startTimer()
	err = copyParts(ctx, store, parts(joined(extents), way.part), way.parallel, file, stretch)
	if r.flush {
		err = errors.Join(err, file.Sync())
	}
	took, cpu := t.stop()
	if n == 0 || took < r.best.took {
		r.best = pass{took: took, cpu: cpu}
	}
	return errors.Join(err, file.Close(), os.Remove(path))
}

// litestreamRestores restores with the unmodified program.
func (b *bench) litestreamRestores(ctx context.Context, path string) (time.Duration, error) {
	start := time.Now()
	s3 := servers.S3{Endpoint: b.Endpoint, AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}
	err := servers.LitestreamRestore(ctx, s3, b.Data.url(b.Endpoint), path, servers.RestoreOptions{})
	return time.Since(start), err
}

// verified checks every file.
func (b *bench) verified(ctx context.Context) error {
	store, err := b.store(ctx)
	if err != nil {
		return err
	}
	t := startTimer()
	r := verify.Run(ctx, store, verify.Options{})
	took, cpu := t.stop()
	if r.Outcome != verify.Good {
		return fmt.Errorf("verify: %s, %v", r.Outcome, r.Problems)
	}
	b.add("how=verify", plain(pass{took: took, cpu: cpu}, r.Read)...)
	return nil
}
