package restore

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
)

// However a file is cut into pieces, and in whatever order they come, all of it is there, and no block is waited for in the end.
func TestEarly(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1, earlyBlock - 1, earlyBlock, earlyBlock + 1, 3*earlyBlock + 12345} {
		rnd := rand.New(rand.NewPCG(uint64(size), 1))
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i >> 8)
		}
		f, err := os.Create(newTarget(t))
		must(t, err)
		defer f.Close()
		e := newEarly(f, size)
		type piece struct{ from, to int64 }
		var pieces []piece
		for from := int64(0); from < size; {
			to := min(size, from+1+rnd.Int64N(earlyBlock+earlyBlock/2))
			pieces = append(pieces, piece{from, to})
			from = to
		}
		rnd.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
		for _, p := range pieces {
			n, err := e.WriteAt(want[p.from:p.to], p.from)
			if err != nil || int64(n) != p.to-p.from {
				t.Fatalf("wrote %d bytes of %d: %v", n, p.to-p.from, err)
			}
		}
		got, err := os.ReadFile(f.Name())
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: the file holds something else", size)
		}
		for i := range e.left {
			if left := e.left[i].Load(); left != 0 {
				t.Errorf("%d bytes: %d are still to come in block %d", size, left, i)
			}
		}
	}
}
