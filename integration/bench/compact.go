package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/compact/merge"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// measureCompact merges the chain into a snapshot. That is not stored: the bucket stays as it is.
func measureCompact(ctx context.Context, b *bench) error {
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
	m := merging{store: from, to: merge.Target{Level: index.SnapshotLevel, Min: 1, Max: catalog.Max(), Complete: true}}
	for _, f := range chain {
		m.inputs = append(m.inputs, *f)
	}
	return m.run(ctx, b, fmt.Sprintf("files=%d", len(chain)))
}

// merging is one file to be made of others.
type merging struct {
	store   objstore.Store
	inputs  []index.File
	to      merge.Target
	publish bool // store it as well, and read it back
}

// run does it and looks at time, memory and requests. Rates are those of the inputs' bytes.
func (m *merging) run(ctx context.Context, b *bench, name string) (err error) {
	bytes := int64(0)
	for _, f := range m.inputs {
		bytes += f.Size
	}
	before, err := b.quiet()
	if err != nil {
		return err
	}
	if err := b.proxy.reset(ctx); err != nil {
		return err
	}
	t := startTimer()
	file, err := merge.Build(ctx, m.store, m.inputs, m.to, merge.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	made := time.Since(t.start)
	if m.publish {
		if _, err := merge.Publish(ctx, m.store, file, merge.Options{}); err != nil {
			return err
		}
	}
	took, cpu := t.stop()
	after, _ := resident() // none but on Linux
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return err
	}
	b.add(name, append(plain(pass{took: took, cpu: cpu}, bytes),
		figure{"making", millis, ms(made)}, figure{"made", byteSize, float64(file.Facts.Size)},
		figure{"GETs", count, float64(seen.gets())}, figure{"requests", count, float64(seen.Stats.Total())},
		figure{"fetched/inputs", each, float64(seen.Stats.BytesOut) / float64(bytes)},
		figure{"peak above before", byteSize, float64(after.peak - before.now)})...)
	return nil
}

// quiet lets the peak of memory begin anew, and returns what there is. Systems other than Linux tell nothing.
func (b *bench) quiet() (residence, error) {
	if _, err := resident(); err != nil {
		return residence{}, nil
	}
	if err := forgetPeak(); err != nil {
		return residence{}, err
	}
	return resident()
}

// What a replica has to merge in a day: level 0 of a busy quarter of an hour, and level 1 of a day laid over a snapshot.
const (
	singles      = 1000
	singlePages  = 12
	dayOfLevel1  = 2880
	level1Pages  = 100
	putsAtOnce   = 16
	mergedDBSize = 100 << 20 // bytes at most
)

// measureMerge merges a thousand single transactions, and a snapshot with a day of level 1, stores what comes out and reads it back.
func measureMerge(ctx context.Context, b *bench) error {
	for _, c := range []struct {
		name     string
		level    int
		n, pages int
		whole    bool
		to       merge.Target
	}{
		{"files=1000xL0", 0, singles, singlePages, false, merge.Target{Level: 1, Min: 2}},
		{"files=100MB+2880xL1", 1, dayOfLevel1, level1Pages, true, merge.Target{Level: index.SnapshotLevel, Min: 1, Complete: true}},
	} {
		w, err := b.writeInputs(ctx, c.level, b.times(c.n), c.pages)
		if err != nil {
			return err
		}
		m := merging{store: w.through, inputs: w.files, to: c.to, publish: true}
		m.to.Max = index.TXID(len(w.files))
		if !c.whole {
			m.inputs = m.inputs[1:]
		}
		if err := m.run(ctx, b, c.name); err != nil {
			return err
		}
	}
	return nil
}

// inputs are a snapshot of the sample, and files of changed pages over it.
type inputs struct {
	through objstore.Store // through the proxy
	files   []index.File   // the snapshot first
}

// writeInputs stores a snapshot of transaction 1, and n files of the level, each with one transaction that changes so many pages: half of
// them in a row, half anywhere. What pages hold is what other pages of the sample hold.
func (b *bench) writeInputs(ctx context.Context, level, n, pages int) (*inputs, error) {
	image, err := readUpTo(b.Local, mergedDBSize)
	if err != nil {
		return nil, err
	}
	prefix := fmt.Sprintf("merge-%d", level)
	direct, _, err := litefss3.OpenStore(ctx, litefss3.Config{ReplicaURL: servers.S3{Endpoint: b.Direct}.URL(b.Scratch, prefix)})
	if err != nil {
		return nil, err
	}
	through, _, err := litefss3.OpenStore(ctx, litefss3.Config{ReplicaURL: servers.S3{Endpoint: b.Endpoint}.URL(b.Scratch, prefix)})
	if err != nil {
		return nil, err
	}
	w := &inputs{through: through, files: make([]index.File, n+1)}
	commit := uint32(len(image) / samplePage)
	all := map[uint32][]byte{}
	for pgno := uint32(1); pgno <= commit; pgno++ {
		all[pgno] = pageOf(image, pgno)
	}
	if err := w.put(ctx, direct, 0, index.SnapshotLevel, commit, all); err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(putsAtOnce)
	for i := 1; i <= n; i++ {
		changed, next := map[uint32][]byte{}, 1+b.rng.Uint32N(commit/2)
		for k := range pages {
			changed[next] = pageOf(image, 1+b.rng.Uint32N(commit))
			if next++; k >= pages/2 {
				next += b.rng.Uint32N(max(1, commit/uint32(2*pages)))
			}
			next = 1 + (next-1)%commit
		}
		g.Go(func() error { return w.put(ctx, direct, i, level, commit, changed) })
	}
	return w, g.Wait()
}

// samplePage is the page size of the sample in bytes.
const samplePage = 4096

func pageOf(image []byte, pgno uint32) []byte { return image[int(pgno-1)*samplePage:][:samplePage] }

// readUpTo reads a file, or its first n bytes.
func readUpTo(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, min(n, info.Size()))
	_, err = f.ReadAt(data, 0)
	return data, err
}

// put stores the i-th file, of transaction i+1.
func (w *inputs) put(ctx context.Context, to objstore.Putter, i, level int, commit uint32, pages map[uint32][]byte) error {
	txid := index.TXID(i + 1)
	f := index.File{Level: level, Min: txid, Max: txid}
	h := ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: samplePage, Commit: commit, MinTXID: txid, MaxTXID: txid,
		Timestamp: time.Now().UnixMilli(), WALOffset: 32,
	}
	data, err := primary.Encode(h, pages)
	if err != nil {
		return err
	}
	f.Size = int64(len(data))
	if f.ETag, err = to.Put(ctx, f.Key(), bytes.NewReader(data), objstore.PutOptions{}); err != nil {
		return err
	}
	w.files[i] = f
	return nil
}
