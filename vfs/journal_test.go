package vfs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// TestJournal_IsAFile does to journals what is done to a slice, in memory and beyond.
func TestJournal_IsAFile(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		reach := []int{3000, 200_000, 3 * journalInMemory}[rng.IntN(3)]
		j, want := new(journal), []byte{}
		for range 300 {
			off, n := rng.IntN(reach), 1+rng.IntN(5000)
			switch rng.IntN(8) {
			case 0:
				size := rng.IntN(len(want) + 1)
				if err := j.Truncate(int64(size)); err != nil {
					t.Fatal(err)
				}
				want = want[:size:size]
			case 1, 2, 3:
				got := make([]byte, n)
				m, err := j.ReadAt(got, int64(off))
				rest := want[min(off, len(want)):]
				if m != min(n, len(rest)) || !bytes.Equal(got[:m], rest[:m]) || (m < n) != errors.Is(err, io.EOF) {
					t.Fatalf("seed %d: read %d of %d at %d of %d: %v", seed, m, n, off, len(want), err)
				}
			default:
				p := make([]byte, n)
				for i := range p {
					p[i] = byte(rng.Uint32())
				}
				if m, err := j.WriteAt(p, int64(off)); m != n || err != nil {
					t.Fatal(m, err)
				}
				if end := off + n; end > len(want) {
					want = append(want, make([]byte, end-len(want))...)
				}
				copy(want[off:], p)
			}
			if size, _ := j.Size(); size != int64(len(want)) {
				t.Fatalf("seed %d: size %d, want %d", seed, size, len(want))
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
