package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/compact/merge"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/restore"
	"github.com/litefs-s3/litefs-s3/verify"
)

// measureRestore restores the newest state, beside unmodified litestream and plain GETs that are written to a file; then it looks at every
// byte of the replica.
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
	size := totalSize(newest)
	ours, report, err := b.restored(ctx, dir)
	if err != nil {
		return err
	}
	raw, err := b.copied(ctx, newest, filepath.Join(dir, "raw"), size)
	if err != nil {
		return err
	}
	full, err := b.copied(ctx, newest, filepath.Join(dir, "full"), report.Bytes)
	if err != nil {
		return err
	}
	start := time.Now()
	s3 := servers.S3{Endpoint: b.Endpoint, AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}
	if err := servers.LitestreamRestore(ctx, s3, b.Data.url(b.Endpoint), filepath.Join(dir, "litestream.db"), servers.RestoreOptions{}); err != nil {
		return err
	}
	theirs := time.Since(start)
	b.add("how=restore", append(plain(*ours, size),
		figure{"of raw", share, raw.took.Seconds() / ours.took.Seconds()},
		figure{"of raw+pages", share, full.took.Seconds() / ours.took.Seconds()},
		figure{"times litestream", each, theirs.Seconds() / ours.took.Seconds()},
		figure{"GETs", count, float64(report.Requests)}, figure{"fetched/needed", each, float64(report.Fetched) / float64(size)})...)
	b.add("how=raw", plain(*raw, size)...)
	b.add("how=raw+pages", plain(*full, size)...)
	b.add("how=litestream", plain(pass{took: theirs}, size)...)
	return b.verified(ctx)
}

// restored restores as often as the plain ways are tried, and returns the fastest.
func (b *bench) restored(ctx context.Context, dir string) (best *pass, report restore.Report, err error) {
	store, err := b.store(ctx)
	if err != nil {
		return nil, report, err
	}
	for n := range len(rawWays) {
		t := startTimer()
		tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
		if err != nil {
			return nil, report, err
		}
		path := filepath.Join(dir, fmt.Sprint("restored-", n))
		report, err = restore.File(ctx, bulk.Source{Store: store, Mover: tracker}, tracker.View(), path, restore.Options{})
		if err != nil {
			return nil, report, err
		}
		took, cpu := t.stop()
		if best == nil || took < best.took {
			best = &pass{took: took, cpu: cpu}
		}
		if err := os.Remove(path); err != nil {
			return nil, report, err
		}
	}
	return best, report, nil
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

// measureCompact merges the chain into a snapshot, reads it back, and looks at the memory.
func measureCompact(ctx context.Context, b *bench) (err error) {
	from, err := b.store(ctx)
	if err != nil {
		return err
	}
	catalog, err := index.ListAll(ctx, from)
	if err != nil {
		return err
	}
	chain, err := index.NewChains(catalog.Files).Chain(catalog.Max())
	if err != nil {
		return err
	}
	inputs, bytes := make([]index.File, len(chain)), int64(0)
	for i, f := range chain {
		inputs[i], bytes = *f, bytes+f.Size
	}
	if _, err := resident(); err == nil {
		if err := forgetPeak(); err != nil {
			return err
		}
	}
	before, _ := resident() // none but on Linux
	if err := b.proxy.reset(ctx); err != nil {
		return err
	}
	t := startTimer()
	target := merge.Target{Level: index.SnapshotLevel, Min: 1, Max: catalog.Max(), Complete: true}
	file, err := merge.Build(ctx, from, inputs, target, merge.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	took, cpu := t.stop()
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return err
	}
	after, _ := resident()
	b.add(fmt.Sprintf("files=%d", len(inputs)), append(plain(pass{took: took, cpu: cpu}, bytes),
		figure{"GETs", count, float64(seen.gets())}, figure{"fetched/inputs", each, float64(seen.Stats.BytesOut) / float64(bytes)},
		figure{"peak above before", byteSize, float64(after.peak - before.now)})...)
	return nil
}
