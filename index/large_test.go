package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"sync/atomic"
	"testing"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// hugeFile is a complete LTX file that nobody wrote: header, index and tail come into being as they are read, and all
// frames are of one size and never looked at.
type hugeFile struct {
	header    ltx.Header
	frameSize int64
	n         int64   // frames
	marks     []int64 // where every marksEvery-th record begins, from the start of the index
	indexSize int64
	read      func() // called with each request
	reads     atomic.Int64
}

const marksEvery = 4096

func newHugeFile(pageSize, commit uint32, max TXID, frameSize int64) *hugeFile {
	h := &hugeFile{
		header: ltx.Header{
			Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: pageSize, Commit: commit,
			MinTXID: 1, MaxTXID: max, Timestamp: 1795188671540,
		},
		frameSize: frameSize, n: int64(densePages(pageSize, commit)), read: func() {},
	}
	var buf []byte
	for i := range h.n {
		if i%marksEvery == 0 {
			h.marks = append(h.marks, h.indexSize)
		}
		buf = h.record(buf[:0], i)
		h.indexSize += int64(len(buf))
	}
	h.indexSize++ // the zero byte
	return h
}

func (h *hugeFile) record(b []byte, i int64) []byte {
	b = binary.AppendUvarint(b, uint64(densePgno(h.header.PageSize, int(i))))
	b = binary.AppendUvarint(b, uint64(ltx.HeaderSize+i*h.frameSize))
	return binary.AppendUvarint(b, uint64(h.frameSize))
}

func (h *hugeFile) indexStart() int64 { return ltx.HeaderSize + h.n*h.frameSize + endMarkerSize }

func (h *hugeFile) size() int64 { return h.indexStart() + h.indexSize + tailSize }

func (h *hugeFile) file() File {
	return File{Level: SnapshotLevel, Min: 1, Max: h.header.MaxTXID, Size: h.size(), ETag: "huge"}
}

func (h *hugeFile) ReadAt(_ context.Context, ref objstore.Ref, p []byte, off int64) error {
	f := h.file()
	h.reads.Add(1)
	h.read()
	switch {
	case ref.Key != f.Key():
		return &objstore.OpError{Op: "get", Key: ref.Key, Err: objstore.ErrNotFound}
	case off+int64(len(p)) > f.Size:
		return &objstore.OpError{Op: "get", Key: ref.Key, Err: objstore.ErrShortObject}
	}
	put := func(b []byte, at int64) { // the part of b, which lies at byte at of the file, that was asked for
		if from := max(at, off); from < at+int64(len(b)) && from < off+int64(len(p)) {
			copy(p[from-off:], b[from-at:])
		}
	}
	head, err := h.header.MarshalBinary()
	if err != nil {
		return err
	}
	put(head, 0)
	h.putRecords(put, off, off+int64(len(p)))
	tail := binary.BigEndian.AppendUint64(make([]byte, 1), uint64(h.indexSize))
	put(append(tail, make([]byte, ltx.TrailerSize)...), h.indexStart()+h.indexSize-1)
	return nil
}

func (h *hugeFile) putRecords(put func([]byte, int64), from, to int64) {
	start := h.indexStart()
	if to <= start {
		return
	}
	mark := max(sort.Search(len(h.marks), func(i int) bool { return start+h.marks[i] > from })-1, 0)
	at := start + h.marks[mark]
	var buf []byte
	for i := int64(mark) * marksEvery; i < h.n && at < to; i++ {
		buf = h.record(buf[:0], i)
		put(buf, at)
		at += int64(len(buf))
	}
}

func (h *hugeFile) ReadSuffix(context.Context, objstore.Ref, int64) (objstore.Part, error) {
	panic("not used")
}

func (h *hugeFile) ReadPrefix(_ context.Context, ref objstore.Ref, _ int64) (objstore.Part, error) {
	return objstore.Part{}, &objstore.OpError{Op: "get", Key: ref.Key, Err: objstore.ErrNotFound}
}

func (h *hugeFile) List(context.Context, string, string) (objstore.Page, error) {
	f := h.file()
	return objstore.Page{Objects: []objstore.Info{{Key: f.Key(), Size: f.Size, ETag: f.ETag}}}, nil
}

// layer makes a small segment to lay over others.
func layer(pageSize, commit uint32, min, max TXID, pgnos []uint32) *segment {
	s := &segment{file: &File{Min: min, Max: max}, header: header{pageSize: pageSize, commit: commit}}
	s.narrow = make([]uint16, 0, len(pgnos))
	off := int64(ltx.HeaderSize)
	for i, pgno := range pgnos {
		size := uint32(100 + i%50)
		s.add(pgno, off, size)
		off += int64(size)
	}
	s.trim()
	return s
}

// A database that crosses 1 GiB, at each page size: every page but the lock page is found, and where it lies.
func TestR11_LockPage(t *testing.T) {
	t.Parallel()
	for pageSize := uint32(512); pageSize <= 65536; pageSize *= 2 {
		if (testing.Short() || raceEnabled) && pageSize < 4096 {
			continue
		}
		lock := ltx.LockPgno(pageSize)
		for _, commit := range []uint32{lock - 1, lock, lock + 1, lock + 3} {
			t.Run(fmt.Sprintf("page=%d/size=lock%+d", pageSize, int(commit)-int(lock)), func(t *testing.T) {
				h := newHugeFile(pageSize, commit, 9, 70)
				tr := mustOpen(t, h)
				v := tr.View()
				if v.Commit != commit || v.LockPgno() != lock {
					t.Fatalf("size %d, lock page %d", v.Commit, v.LockPgno())
				}
				check := func(v *View, pgno uint32, want int64) {
					t.Helper()
					p, ok := v.Lookup(pgno)
					_, vok := v.Version(pgno)
					if ok != (want >= 0) || vok != ok {
						t.Fatalf("page %d: found %v, %v", pgno, ok, vok)
					}
					if ok && (p.Pgno != pgno || p.Frame.Off != want || p.Frame.Size != 70) {
						t.Fatalf("page %d: %+v, want byte %d", pgno, p.Frame, want)
					}
				}
				frame := func(i uint32) int64 { return ltx.HeaderSize + 70*int64(i) }
				check(v, 1, frame(0))
				check(v, lock-1, frame(lock-2))
				check(v, lock, -1)
				for pgno := lock + 1; pgno <= lock+4; pgno++ {
					if pgno <= commit {
						check(v, pgno, frame(pgno-2))
					} else {
						check(v, pgno, -1)
					}
				}
				// Newer files around it: growth over the lock page, and a shrink below it.
				tab := v.table.Load()
				grown := newView(tab.extend(layer(pageSize, lock+5, 10, 10, seqWithout(max(commit, lock-1)+1, lock+5, lock))), 0)
				for pgno := lock - 2; pgno <= lock+6; pgno++ {
					if _, ok := grown.Lookup(pgno); ok != (pgno != lock && pgno <= lock+5) {
						t.Errorf("after growth: page %d found: %v", pgno, ok)
					}
				}
				shrunk := newView(grown.table.Load().extend(layer(pageSize, lock-2, 11, 11, []uint32{1})), 0)
				if _, ok := shrunk.Lookup(lock - 2); !ok {
					t.Error("after a shrink: the last page was not found")
				}
				again := newView(shrunk.table.Load().extend(layer(pageSize, lock+1, 12, 12, []uint32{1, lock - 1, lock + 1})), 0)
				for _, pgno := range []uint32{lock - 1, lock + 1} {
					if p, ok := again.Lookup(pgno); !ok || p.Version != 12 {
						t.Errorf("grown again: page %d: %+v, %v", pgno, p, ok)
					}
				}
				if _, ok := again.Lookup(lock); ok {
					t.Error("grown again: the lock page was found")
				}
				// All pages of the file in one span, and none of them the lock page.
				if pageSize >= 16384 {
					p, _ := v.Lookup(1)
					n := uint32(0)
					for q := range p.Around(0, 1<<40).Pages() {
						if q.Pgno == lock || q.Pgno != densePgno(pageSize, int(n)) {
							t.Fatalf("page %d in the span after %d others", q.Pgno, n)
						}
						n++
					}
					if n != densePages(pageSize, commit) {
						t.Errorf("%d pages in the span", n)
					}
				}
			})
		}
	}
}

func seqWithout(first, last, without uint32) (pgnos []uint32) {
	for pgno := first; pgno <= last; pgno++ {
		if pgno != without {
			pgnos = append(pgnos, pgno)
		}
	}
	return pgnos
}

// raceEnabled makes tests that count memory or time smaller: the race detector slows them down tenfold.
var raceEnabled = func() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}()

// The index of thirty million pages is loaded and kept in far less than 256 MiB.
func TestR11_ThirtyMillionPages(t *testing.T) {
	pages := uint32(30_000_000)
	if testing.Short() || raceEnabled {
		pages = 3_000_000
	}
	const limit = 256 << 20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	h := newHugeFile(4096, pages+1, 9, 1500) // the lock page is one of them
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var most atomic.Uint64
	h.read = func() {
		if h.reads.Load()%16 > 0 {
			return
		}
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		most.Store(max(most.Load(), now.HeapInuse))
	}
	tr := mustOpen(t, h)
	v := tr.View()
	base, layers := v.TableBytes()
	t.Logf("%d pages, index of %d MiB in %d requests: heap %d MiB at most, %d MiB before; table %.2f bytes a page",
		pages, h.indexSize>>20, h.reads.Load(), most.Load()>>20, before.HeapInuse>>20, float64(base)/float64(pages))
	if most.Load() > limit {
		t.Errorf("heap of %d MiB", most.Load()>>20)
	}
	if perPage := float64(base+layers) / float64(pages); perPage > 3 {
		t.Errorf("%.2f bytes a page", perPage)
	}
	for _, pgno := range []uint32{1, 64, 65, 262144, 262146, pages / 2, pages, pages + 1} {
		i := pgno - 1
		if pgno > 262145 {
			i--
		}
		if p, ok := v.Lookup(pgno); !ok || p.Frame.Off != ltx.HeaderSize+1500*int64(i) {
			t.Errorf("page %d: %+v, %v", pgno, p.Frame, ok)
		}
	}
	runtime.KeepAlive(tr)
}

// An index that is damaged in a part that is fetched later is refused too, and no request outlives the call.
func TestLargeIndex_DamagedInTheMiddle(t *testing.T) {
	t.Parallel()
	h := newHugeFile(4096, 3_000_000, 9, 70)
	for _, at := range []int64{0, h.indexSize / 3, h.indexSize / 2, h.indexSize - 2} {
		d := &damaged{Reader: h, at: h.indexStart() + at}
		if _, err := Open(t.Context(), d, Options{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d of the index damaged: got %v", at, err)
		}
		if n := d.open.Load(); n != 0 {
			t.Errorf("byte %d of the index damaged: %d requests outlive the call", at, n)
		}
	}
}

// damaged changes one byte of what is read.
type damaged struct {
	Reader
	at   int64
	open atomic.Int64 // requests under way
}

func (d *damaged) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	d.open.Add(1)
	defer d.open.Add(-1)
	err := d.Reader.ReadAt(ctx, ref, p, off)
	if d.at >= off && d.at < off+int64(len(p)) {
		p[d.at-off] ^= 0x55
	}
	return err
}

// A huge file says of itself what the library would.
func TestHugeFile(t *testing.T) {
	t.Parallel()
	h := newHugeFile(512, 9000, 9, 70)
	whole := make([]byte, h.size())
	f := h.file()
	if err := h.ReadAt(t.Context(), f.Ref(), whole, 0); err != nil {
		t.Fatal(err)
	}
	for off := int64(0); off < h.size(); off += 777 {
		piece := make([]byte, min(1000, h.size()-off))
		if err := h.ReadAt(t.Context(), f.Ref(), piece, off); err != nil || !bytes.Equal(piece, whole[off:off+int64(len(piece))]) {
			t.Fatalf("piece at %d differs, %v", off, err)
		}
	}
	index, err := ltx.DecodePageIndex(bytes.NewReader(whole[h.indexStart():]), 9, 1, 9)
	if err != nil || len(index) != 9000 {
		t.Errorf("%d pages, %v", len(index), err)
	}
}
