package pages

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
)

// What came with indexes is not asked for, whatever files the pages lie in and in whatever order they are looked for; when it has gone it is.
func TestAbsent(t *testing.T) {
	t.Parallel()
	r := newReplica(4096)
	r.commit(120)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		var pgnos []uint32
		for range 20 {
			pgnos = append(pgnos, 1+rng.Uint32N(120))
		}
		r.commit(120, pgnos...)
	}
	w := r.open(t, huge)
	v := w.tracker.View()
	pgnos := span(1, 120)
	rng.Shuffle(len(pgnos), func(i, j int) { pgnos[i], pgnos[j] = pgnos[j], pgnos[i] })

	absent := func() []uint32 {
		var found []uint32
		for _, p := range w.source.absent(v, pgnos, len(pgnos)) {
			found = append(found, p.Pgno)
		}
		return found
	}
	if got := absent(); !slices.Equal(got, pgnos) {
		t.Errorf("%d of %d pages are absent with nothing here", len(got), len(pgnos))
	}
	files := v.Files()
	if len(files) < 3 {
		t.Fatalf("pages lie in %d files", len(files))
	}
	var blobs []index.Blob
	for i, f := range files {
		if i%2 == 0 { // of the others nothing is here
			blobs = append(blobs, index.Blob{File: f, Data: w.object(*f)})
		}
	}
	w.source.Admit(v, blobs)
	want := slices.DeleteFunc(slices.Clone(pgnos), func(pgno uint32) bool {
		return slices.Index(files, w.lookup(v, pgno).Frame.File)%2 == 0
	})
	if got := absent(); !slices.Equal(got, want) || len(want) == 0 || len(want) == len(pgnos) {
		t.Errorf("%d of %d pages are absent, want %d", len(got), len(pgnos), len(want))
	}
	w.cache.SetBudget(0)
	if got := absent(); !slices.Equal(got, pgnos) {
		t.Errorf("%d of %d pages are absent after everything has gone", len(got), len(pgnos))
	}
}
