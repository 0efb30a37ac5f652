package btree

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

func TestVarint(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		in   []byte
		want uint64
		used int
	}{
		{"empty", nil, 0, 0},
		{"one byte", []byte{0x7f}, 127, 1},
		{"two bytes", []byte{0x81, 0x00}, 128, 2},
		{"cut", []byte{0x81}, 0, 0},
		{"nine bytes", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 1<<64 - 1, 9},
		{"nine and more", []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x05, 0x01}, 5, 9},
	} {
		if got, used := varint(tc.in); got != tc.want || used != tc.used {
			t.Errorf("%s: got %d in %d bytes, want %d in %d", tc.name, got, used, tc.want, tc.used)
		}
	}
}

// Nothing that a page holds makes the parser panic, or return cells outside of it.
func FuzzParse(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, kind := range []byte{InteriorIndex, InteriorTable, LeafIndex, LeafTable, 0, 1} {
		page := make([]byte, 512)
		for i := range page {
			page[i] = byte(r.Uint32())
		}
		page[0], page[100] = kind, kind
		binary.BigEndian.PutUint16(page[3:], 20)
		binary.BigEndian.PutUint16(page[103:], 20)
		f.Add(page, uint32(1), 512)
		f.Add(page, uint32(2), 480)
	}
	f.Fuzz(func(t *testing.T, page []byte, pgno uint32, usable int) {
		ParseHeader(page)
		n, ok := Parse(page, pgno, usable)
		if !ok {
			return
		}
		if !n.Interior() && len(n.Children) > 0 {
			t.Error("a leaf has children")
		}
		for _, c := range n.Cells {
			if len(c.Payload) > usable {
				t.Error("a cell is longer than its page")
			}
			ParseSchemaRow(c.Payload, pgno%4)
		}
	})
}
