package vfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/page1"
)

// onePage returns the same page 1 for every View, and counts how often it is asked.
type onePage struct {
	page  []byte
	reads int
	err   error
}

func (p *onePage) ReadPage(_ context.Context, _ *index.View, _ uint32, dst []byte) error {
	p.reads++
	copy(dst, p.page)
	return p.err
}

func (p *onePage) Begin() {}

// randomPage1 is a page 1 in WAL mode with anything else in it.
func randomPage1(size int) []byte {
	rng := rand.New(rand.NewPCG(uint64(size), 1))
	page := make([]byte, size)
	for i := range page {
		page[i] = byte(rng.Uint32())
	}
	page[page1.WriteVersion], page[page1.ReadVersion], page[page1.Reserved] = 2, 2, 0
	return page
}

func TestPage1_ShowsTheView(t *testing.T) {
	t.Parallel()
	for size := 512; size <= 65536; size *= 2 {
		original := randomPage1(size)
		source := &onePage{page: original}
		v := &index.View{TXID: 7, PageSize: uint32(size), Commit: 99}
		var p first
		got, err := p.read(t.Context(), source, SnapshotOf(v))
		if err != nil {
			t.Fatal(err)
		}
		if got[page1.WriteVersion] != 1 || got[page1.ReadVersion] != 1 {
			t.Errorf("page size %d: SQLite would look for a write-ahead log", size)
		}
		be := binary.BigEndian
		if be.Uint32(got[page1.Counter:]) != v.Counter() || be.Uint32(got[page1.CounterOf:]) != v.Counter() || be.Uint32(got[page1.Pages:]) != 99 {
			t.Errorf("page size %d: counter %d and %d, %d pages", size, be.Uint32(got[page1.Counter:]), be.Uint32(got[page1.CounterOf:]), be.Uint32(got[page1.Pages:]))
		}
		for _, keep := range [][2]int{{0, page1.WriteVersion}, {page1.Reserved, page1.Counter}, {page1.Pages + 4, page1.CounterOf}, {page1.CounterOf + 4, size}} {
			if !bytes.Equal(got[keep[0]:keep[1]], original[keep[0]:keep[1]]) {
				t.Errorf("page size %d: bytes %d to %d have changed", size, keep[0], keep[1])
			}
		}
		if _, err := p.read(t.Context(), source, SnapshotOf(v)); err != nil || source.reads != 1 {
			t.Errorf("page 1 of one View was read %d times, error %v", source.reads, err)
		}
		next := &index.View{TXID: 8, PageSize: uint32(size), Commit: 99}
		if got, err := p.read(t.Context(), source, SnapshotOf(next)); err != nil || be.Uint32(got[page1.Counter:]) != next.Counter() || source.reads != 2 {
			t.Errorf("page size %d: page 1 of the next View shows counter %d", size, be.Uint32(got[page1.Counter:]))
		}
	}
}

// TestPage1_Checksums: the driver verifies pages that end with a checksum, so what is changed in page 1 must be in it. A checksum that was wrong
// stays wrong.
func TestPage1_Checksums(t *testing.T) {
	t.Parallel()
	for _, right := range []bool{true, false} {
		page := randomPage1(4096)
		page[page1.Reserved] = page1.ChecksumSize
		page1.Seal(page)
		if !right {
			page[4095] ^= 1
		}
		var p first
		got, err := p.read(t.Context(), &onePage{page: page}, SnapshotOf(&index.View{TXID: 7, PageSize: 4096, Commit: 1}))
		if err != nil || page1.Intact(got) != right {
			t.Errorf("checksum right before: %v, after: %v, error %v", right, page1.Intact(got), err)
		}
	}
}

func TestPage1_AnErrorIsNotKept(t *testing.T) {
	t.Parallel()
	source := &onePage{page: randomPage1(512), err: errors.New("cut")}
	v := &index.View{TXID: 7, PageSize: 512, Commit: 1}
	var p first
	if _, err := p.read(t.Context(), source, SnapshotOf(v)); err == nil {
		t.Error("no error")
	}
	source.err = nil
	if _, err := p.read(t.Context(), source, SnapshotOf(v)); err != nil || source.reads != 2 {
		t.Errorf("after the error it was read %d times, error %v", source.reads, err)
	}
}

func TestParseTXID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]index.TXID{
		"000000000000002a": 42, "2a": 42, "0x2A": 42, "1": 1, "ffffffffffffffff": 1<<64 - 1,
		"": 0, "0": 0, "xyz": 0, "-1": 0, "10000000000000000": 0,
	} {
		got, err := parseTXID(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
}
