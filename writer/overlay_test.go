package writer

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/litefs-s3/litefs-s3/writer/commitlog"
)

// TestOverlay plays random transactions, shrinks and uploads against maps, and looks at old overlays again at the end.
func TestOverlay(t *testing.T) {
	t.Parallel()
	for _, highest := range []uint32{14, 40, 300, 70_000, 1<<32 - 2} {
		rng := rand.New(rand.NewPCG(uint64(highest), 7))
		var o overlay
		model := map[uint32]uint64{}
		type kept struct {
			o     overlay
			model map[uint32]uint64
		}
		var old []kept
		for seq := uint64(1); seq < 300; seq++ {
			commit := 1 + rng.Uint32N(highest)
			rec := commitlog.Recorded{Tx: &commitlog.Tx{Seq: seq, Commit: commit}}
			pages := map[uint32]bool{}
			for range rng.IntN(40) {
				pages[1+rng.Uint32N(commit)] = true
			}
			for _, pgno := range slices.Sorted(maps.Keys(pages)) {
				rec.Entries = append(rec.Entries, commitlog.Entry{Pgno: pgno, Sum: pgno ^ uint32(seq)})
			}
			if seq%7 != 0 {
				rec.Commit = highest
			}
			o = o.with(rec)
			maps.DeleteFunc(model, func(pgno uint32, _ uint64) bool { return pgno > rec.Commit })
			for pgno := range pages {
				model[pgno] = seq
			}
			if rng.IntN(9) == 0 {
				upTo := seq - min(seq, rng.Uint64N(12))
				o = o.after(upTo)
				maps.DeleteFunc(model, func(_ uint32, s uint64) bool { return s <= upTo })
			}
			old = append(old, kept{o, maps.Clone(model)})
		}
		for _, k := range old {
			checkOverlay(t, k.o, k.model)
		}
	}
}

func checkOverlay(t *testing.T, o overlay, model map[uint32]uint64) {
	t.Helper()
	last, n := uint32(0), 0
	for e := range o.all() {
		if e.pgno <= last || model[e.pgno] != e.tx.Seq || e.sum != e.pgno^uint32(e.tx.Seq) {
			t.Fatalf("page %d after %d: of transaction %d, want %d", e.pgno, last, e.tx.Seq, model[e.pgno])
		}
		last = e.pgno
		n++
	}
	if n != len(model) || o.len() != n || (n == 0) != (o.root == nil) {
		t.Fatalf("%d pages, want %d", n, len(model))
	}
	for pgno, seq := range model {
		if e, ok := o.get(pgno); !ok || e.tx.Seq != seq {
			t.Fatalf("page %d: %v, want of transaction %d", pgno, e, seq)
		}
		if _, there := model[pgno+1]; !there {
			if e, ok := o.get(pgno + 1); ok {
				t.Fatalf("page %d: found %v, want none", pgno+1, e)
			}
		}
	}
}
