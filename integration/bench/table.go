package main

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// newBody is data as an upload wants it.
func newBody(data []byte) io.ReadSeeker { return bytes.NewReader(data) }

// measureTable opens the page table alone and weighs it.
func measureTable(ctx context.Context, b *bench) error {
	store, err := b.store(ctx)
	if err != nil {
		return err
	}
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err != nil {
		return err
	}
	v := tracker.View()
	files := v.Files()
	base, layers := v.TableBytes()
	entries, distinct := 0, 0
	for _, f := range files[1:] {
		n, err := countPages(ctx, store, f)
		if err != nil {
			return err
		}
		entries += n
	}
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		if p, ok := v.Lookup(pgno); ok && p.Frame.File.Key() != files[0].Key() {
			distinct++
		}
	}
	b.add("",
		figure{"pages", count, float64(v.Commit)}, figure{"files", count, float64(len(files))},
		figure{"base", byteSize, float64(base)}, figure{"base/page", each, float64(base) / float64(v.Commit)},
		figure{"layers", byteSize, float64(layers)},
		figure{"frames in layers", count, float64(entries)}, figure{"layers/frame", each, float64(layers) / float64(max(1, entries))},
		figure{"pages in layers", count, float64(distinct)}, figure{"layers/page", each, float64(layers) / float64(max(1, distinct))})
	return nil
}

// countPages reads a file and counts the pages in it.
func countPages(ctx context.Context, store objstore.RangeReader, f *index.File) (int, error) {
	data := make([]byte, f.Size)
	if err := store.ReadAt(ctx, f.Ref(), data, 0); err != nil {
		return 0, err
	}
	dec := ltx.NewDecoder(bytes.NewReader(data))
	if err := dec.DecodeHeader(); err != nil {
		return 0, err
	}
	page := make([]byte, dec.Header().PageSize)
	for n := 0; ; n++ {
		var hdr ltx.PageHeader
		if err := dec.DecodePage(&hdr, page); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return 0, err
		}
	}
}
