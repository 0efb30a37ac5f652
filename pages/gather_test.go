package pages

import (
	"context"
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

// What came between the look for pages and the request for them is not asked for a second time, decoded or as it was.
func TestFetchAhead_CameSince(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw         bool
		first, left int // pages that come before, and those that are left
	}{{false, 100, 20}, {true, 0, 120}} {
		r := newReplica(4096)
		r.commit(120)
		w := r.open(t, huge)
		v := w.tracker.View()
		all, ok := v.Whole(v.Files()[0])
		if !ok {
			t.Fatal("the file does not fit into one request")
		}
		why := purpose{scan: true, raw: c.raw}
		ask := func(pages []index.Page) *flight {
			f, err := w.source.fetchAhead(context.Background(), v, all, slices.Clone(pages), why)
			w.must(err)
			return f
		}
		absent := w.source.absent(v, span(1, 120), 120)
		if len(absent) != 120 {
			t.Fatalf("%d of 120 pages are absent", len(absent))
		}
		if c.first > 0 {
			<-ask(absent[:c.first]).done
		}
		f := ask(absent)
		<-f.done
		if f.count != c.left {
			t.Errorf("raw %t: %d pages were asked for where %d were left", c.raw, f.count, c.left)
		}
		if f := ask(absent); f != nil {
			t.Errorf("raw %t: %d pages were asked for where none was left", c.raw, f.count)
		}
	}
}
