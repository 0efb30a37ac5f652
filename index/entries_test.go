package index

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// encoded is a file of the format's own encoder with random pages.
func encoded(t testing.TB, pages, pageSize uint32) []byte {
	t.Helper()
	var b bytes.Buffer
	enc, err := ltx.NewEncoder(&b)
	if err == nil {
		err = enc.EncodeHeader(ltx.Header{
			Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: pageSize, Commit: pages, MinTXID: 1, MaxTXID: 3, Timestamp: 5,
		})
	}
	for pgno := uint32(1); pgno <= pages && err == nil; pgno++ {
		err = enc.EncodePage(ltx.PageHeader{Pgno: pgno}, halfRandom(pgno, pageSize))
	}
	if err == nil {
		err = enc.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func halfRandom(pgno, pageSize uint32) []byte {
	rnd := rand.New(rand.NewPCG(uint64(pgno), 3))
	page := make([]byte, pageSize)
	for i := range page[:pageSize/2] {
		page[i] = byte(rnd.Uint32())
	}
	return page
}

func readAll(t testing.TB, data []byte, chunk int64) (*Entries, []Entry, error) {
	t.Helper()
	store := new(memstore.Store)
	f := &File{Level: 9, Min: 1, Max: 3, Size: int64(len(data))}
	if _, err := store.Put(t.Context(), f.Key(), bytes.NewReader(data), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	e, err := ReadEntries(t.Context(), store, f, chunk)
	if err != nil {
		return nil, nil, err
	}
	var all []Entry
	for {
		entry, err := e.Next(t.Context())
		if err == io.EOF {
			return e, all, nil
		}
		if err != nil {
			return nil, nil, err
		}
		all = append(all, entry)
	}
}

// Entries are what the format's own decoder finds, in pieces of any size; and frames are encoded as it does.
func TestEntries(t *testing.T) {
	t.Parallel()
	const pages, pageSize = 300, 1024
	data := encoded(t, pages, pageSize)
	_, want, err := readAll(t, data, 1<<20)
	if err != nil || len(want) != pages {
		t.Fatalf("%d entries, %v", len(want), err)
	}
	for _, chunk := range []int64{0, 1, 31, 100, 4096} {
		e, got, err := readAll(t, data, chunk)
		if err != nil || !slices.Equal(got, want) || e.Header.Commit != pages || e.Header.Timestamp != 5 {
			t.Errorf("in pieces of %d bytes: %d entries, %v", chunk, len(got), err)
		}
	}
	page := make([]byte, pageSize)
	for _, entry := range want {
		frame := data[entry.Off : entry.Off+entry.Size]
		if err := DecodeFrame(frame, entry.Pgno, page); err != nil || !bytes.Equal(page, halfRandom(entry.Pgno, pageSize)) {
			t.Fatalf("page %d: %v", entry.Pgno, err)
		}
		got, err := AppendFrame([]byte("before"), entry.Pgno, page)
		if err != nil || !bytes.Equal(got, append([]byte("before"), frame...)) || !IsBlockFrame(frame) {
			t.Fatalf("page %d is encoded otherwise: %v", entry.Pgno, err)
		}
	}
}

// Whatever is done to the end of a file: an error, or entries that lie one after another within the frames.
func FuzzEntries(f *testing.F) {
	data := encoded(f, 20, 512)
	f.Add(data[len(data)-200:], int64(7))
	f.Add(data[len(data)-30:], int64(1000))
	f.Fuzz(func(t *testing.T, tail []byte, chunk int64) {
		bad := bytes.Clone(data)
		if len(tail) < len(bad)-ltx.HeaderSize {
			bad = append(bad[:len(bad)-len(tail)], tail...)
		}
		_, entries, err := readAll(t, bad, chunk%(1<<20))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v is not ErrCorrupt", err)
			}
			return
		}
		next := int64(ltx.HeaderSize)
		for _, e := range entries {
			if e.Off != next || e.Size <= 0 || e.Off+e.Size > int64(len(bad)) {
				t.Errorf("entry %+v of a file of %d bytes", e, len(bad))
			}
			next += e.Size
		}
	})
}

// What files reach is known from their names.
func TestChains(t *testing.T) {
	t.Parallel()
	files := []File{{Level: 9, Min: 1, Max: 4}, {Min: 5, Max: 5}, {Min: 6, Max: 6}, {Min: 9, Max: 9}}
	c := NewChains(files)
	if c.Head() != 6 || !slices.Equal(c.TXIDs(), []TXID{4, 5, 6}) {
		t.Errorf("head %s of %v", c.Head(), c.TXIDs())
	}
	var gap *GapError
	if !errors.As(c.Gap(), &gap) || gap.After != 6 || gap.Next != 9 {
		t.Errorf("gap %v", c.Gap())
	}
	if chain, err := c.Chain(6); err != nil || len(chain) != 3 {
		t.Errorf("chain %v, %v", chain, err)
	}
	if _, err := c.Chain(9); !errors.Is(err, ErrNotReachable) {
		t.Errorf("beyond the gap: %v", err)
	}
}
