package index

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/superfly/ltx"
)

// oneByOne decodes an index a record at a time.
func oneByOne(d *indexDecoder, b []byte) (*segment, error) {
	for !d.finished {
		n, err := d.record(b)
		if err != nil {
			return nil, err
		}
		b = b[n:]
	}
	if len(b) > 0 {
		return nil, errShortIndex
	}
	return d.finish()
}

// Whatever an index says, and in whatever pieces it comes, it is the same as when its records are decoded one by one: what passes, and what it
// is. (The lock page is in TestR11_LockPage.)
func TestInTurn(t *testing.T) {
	t.Parallel()
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	rng := rand.New(rand.NewPCG(1, 2))
	passed, refused := 0, 0
	for round := range rounds {
		pageSize := []uint32{512, 4096, 65536}[rng.IntN(3)]
		commit := 1 + rng.Uint32N(400)
		var index []byte
		off, largest := uint64(ltx.HeaderSize), uint32(min(maxFrameSize(pageSize), 1<<uint(8+rng.IntN(10))))
		if rng.IntN(3) == 0 {
			off += 1 << rng.IntN(40) // no file begins like that: how numbers are written
		}
		begins := off
		wrong := rng.IntN(3 * int(commit)) // record that says what it should not
		for pgno := uint32(1); pgno <= commit; pgno++ {
			p, o, size := uint64(pgno), off, uint64(frameOverhead+rng.Uint32N(largest-frameOverhead+1))
			off += size
			if int(pgno) == wrong {
				switch rng.IntN(5) {
				case 0:
					p += uint64(rng.IntN(5)) - 2
				case 1:
					o += uint64(rng.IntN(5)) - 2
				case 2:
					size = rng.Uint64() >> rng.IntN(64)
				case 3:
					p |= 1 << (rng.IntN(64))
				case 4: // a frame that is too long, and really there
					more := uint64(maxFrameSize(pageSize)) - size + 1 + rng.Uint64N(1<<17)
					size, off = size+more, off+more
				}
			}
			index = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(index, p), o), size)
			if rng.IntN(200) == 0 {
				pgno++ // a page is not in the file
			}
		}
		index = append(index, 0)
		if rng.IntN(4) == 0 {
			index[rng.IntN(len(index))] ^= 1 << rng.IntN(8)
		}

		file := &File{Min: TXID(1 + rng.IntN(2)), Max: 5}
		decoder := func() *indexDecoder {
			d := newIndexDecoder(file, header{pageSize: pageSize, commit: commit}, int64(off)+endMarkerSize, int64(len(index)))
			d.next = int64(begins)
			return d
		}
		want, werr := oneByOne(decoder(), index)
		d := decoder()
		err := error(nil)
		for rest := index; err == nil && (len(rest) > 0 || !d.finished); {
			n := min(len(rest), 1+rng.IntN(1+rng.IntN(300)))
			err = d.feed(rest[:n], n == len(rest))
			rest = rest[n:]
		}
		got := (*segment)(nil)
		if err == nil {
			got, err = d.finish()
		}
		switch {
		case (err == nil) != (werr == nil):
			t.Fatalf("round %d: got %v, one by one %v", round, err, werr)
		case err != nil:
			refused++
		case !got.equal(want):
			t.Fatalf("round %d: another page table than one by one", round)
		default:
			passed++
		}
	}
	if passed < rounds/10 || refused < rounds/10 {
		t.Errorf("%d indexes passed and %d were refused", passed, refused)
	}
}

// A number as the decoder expects it is a number as everybody writes it.
func TestSpelled(t *testing.T) {
	t.Parallel()
	for shift := range 57 {
		for _, v := range []uint64{1<<shift - 1, 1 << shift, 1<<shift | 0x5a5a5a5a5a5a5a&(1<<shift-1)} {
			if v >= 1<<56 {
				continue
			}
			var want [8]byte
			n := len(binary.AppendUvarint(want[:0], v))
			if got, m := spelled(v); m != n || got != binary.LittleEndian.Uint64(want[:]) {
				t.Errorf("%#x: %#x in %d bytes, want % x", v, got, m, want[:n])
			}
		}
	}
}
