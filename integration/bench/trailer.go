package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// paper is a store with one LTX file that has a header and an index and no pages: only its page table can be read.
type paper struct {
	objstore.Store // nil: nothing else is asked
	file           index.File
	header         []byte
	tail           []byte // from the end of the pages on
}

// newPaper makes a file with the index of a database of so many pages, whose frames are as long as those of prose are.
func newPaper(pages uint32) (*paper, error) {
	const pageSize = 4096
	header, err := (&ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: pageSize, Commit: pages,
		MinTXID: 1, MaxTXID: 1, Timestamp: 1,
	}).MarshalBinary()
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	tail := make([]byte, ltx.PageHeaderSize, 12*int(pages)) // zeros end the pages
	off := uint64(len(header))
	for pgno := uint32(1); pgno <= pages; pgno++ {
		if pgno == ltx.LockPgno(pageSize) {
			continue
		}
		size := uint64(1500 + rng.IntN(1500))
		tail = binary.AppendUvarint(tail, uint64(pgno))
		tail = binary.AppendUvarint(tail, off)
		tail = binary.AppendUvarint(tail, size)
		off += size
	}
	tail = append(tail, 0)
	tail = binary.BigEndian.AppendUint64(tail, uint64(len(tail)-ltx.PageHeaderSize))
	tail = append(tail, make([]byte, ltx.TrailerSize)...)
	return &paper{
		file:   index.File{Level: index.SnapshotLevel, Min: 1, Max: 1, Size: int64(off) + int64(len(tail)), ETag: "paper"},
		header: header, tail: tail,
	}, nil
}

func (s *paper) List(context.Context, string, string) (objstore.Page, error) {
	return objstore.Page{Objects: []objstore.Info{{Key: s.file.Key(), Size: s.file.Size, ETag: s.file.ETag}}}, nil
}

func (s *paper) ReadAt(_ context.Context, ref objstore.Ref, p []byte, off int64) error {
	tailOff := s.file.Size - int64(len(s.tail))
	if ref.Key != s.file.Key() || off+int64(len(p)) > s.file.Size {
		return fmt.Errorf("read of %s from %d to %d: %w", ref.Key, off, off+int64(len(p)), objstore.ErrNotFound)
	}
	if off < int64(len(s.header)) {
		copy(p, s.header[off:])
	}
	if end := off + int64(len(p)); end > tailOff {
		from := max(off, tailOff)
		copy(p[from-off:], s.tail[from-tailOff:])
	}
	return nil
}

// measureTrailer decodes the page index of a database of a million pages, which takes no time to fetch.
func measureTrailer(ctx context.Context, b *bench) error {
	pages := uint32(b.times(1_000_000))
	store, err := newPaper(pages)
	if err != nil {
		return err
	}
	var took, cpu []time.Duration
	var table int64
	for range 9 {
		t := startTimer()
		tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
		if err != nil {
			return err
		}
		wall, used := t.stop()
		took, cpu = append(took, wall), append(cpu, used)
		table, _ = tracker.View().TableBytes()
	}
	b.Data.Name = "" // it has to do with none
	b.add(fmt.Sprintf("pages=%d", pages),
		figure{"index", byteSize, float64(len(store.tail))}, figure{"time", millis, ms(median(took))},
		figure{"CPU", millis, ms(median(cpu))}, figure{"table/page", each, float64(table) / float64(pages)})
	return nil
}
