package pages

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// What was asked for once is here the second time, when it fits many times: what came along with other pages does not push it out.
func TestReads_WarmAfterOnePass(t *testing.T) {
	t.Parallel()
	const working = 500 // of 3,900 that fit; each miss brings another 15
	g := newGiant(100_000, longFrame)
	tracker, err := index.Open(t.Context(), g, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v := tracker.View()
	source := NewSource(g, tracker, NewCache(16<<20))
	defer source.Close()
	r := source.NewReader()
	defer r.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	var pgnos []uint32
	for range working {
		pgnos = append(pgnos, 1+rng.Uint32N(v.Commit))
	}
	buf := make([]byte, v.PageSize)
	pass := func() (fetches int64) {
		before := source.Stats().Fetches
		for _, i := range rng.Perm(working) {
			if err := r.ReadPage(t.Context(), v, pgnos[i], buf); err != nil {
				t.Fatal(err)
			}
		}
		source.wg.Wait()
		return source.Stats().Fetches - before
	}
	if n := pass(); n < working*9/10 {
		t.Fatalf("%d requests for %d pages far from each other", n, working)
	}
	if n := pass(); n != 0 {
		t.Errorf("%d requests for pages that were asked for before", n)
	}
}

// A scan with a cache much smaller than the table fetches a newer file of middling size, of which it reads a page here and there, once.
func TestPointers_ScanThroughMiddlingFile(t *testing.T) {
	t.Parallel()
	leaves := 10_000
	if testing.Short() {
		leaves = 5000
	}
	g := newGrove(0)
	table := g.table(leaves, 400, 0)
	g.grown()
	var touched []uint32
	for i := 0; i < len(table.leaves); i += 16 {
		pgno := table.leaves[i]
		touched = append(touched, pgno)
		g.made.Store(version{pgno, 2}, g.pages[pgno])
	}
	g.commit(g.state(1).commit, touched...)
	onClock(t, g, 16<<20, func(w *world) {
		newer := w.tracker.View().Files()[1]
		if newer.Size <= smallFile || newer.Size > maxSpan {
			t.Fatalf("the newer file has %d bytes", newer.Size)
		}
		s := w.sqlite(g)
		time.Sleep(time.Second)
		w.spy.take()
		s.scan(table.root, false)
		var all, again int64
		for _, get := range w.spy.take() {
			all += get.n
			if get.key == newer.Key() && get.n > smallFile {
				again++
			}
		}
		var needed int64
		for _, f := range w.tracker.View().Files() {
			needed += f.Size
		}
		if again != 1 {
			t.Errorf("the newer file was fetched %d times", again)
		}
		if all > needed*102/100 {
			t.Errorf("%d bytes were fetched of %d", all, needed)
		}
		if s.room < 16<<20 {
			t.Errorf("the window shrank: what was to be read was lost")
		}
		w.audit()
	})
}
