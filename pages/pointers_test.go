package pages

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/internal/btree"
)

// onClock runs steps on a clock on which a request takes 25 ms and nothing else takes any.
func onClock(t *testing.T, g *grove, budget int64, steps func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := g.open(t, budget)
		w.spy.delay(25 * time.Millisecond)
		steps(w)
	})
}

// waves runs a step and returns how many requests it waited for, one after the other, and how many there were.
func (w *world) waves(step func()) (waves, gets int) {
	synctest.Wait() // what was asked for ahead
	time.Sleep(time.Second)
	w.spy.take()
	began := time.Now()
	step()
	waves = int(time.Since(began) / (25 * time.Millisecond))
	synctest.Wait()
	return waves, len(w.spy.take())
}

// A scan of a table whose pages lie anywhere in the file waits about as often as one of a table that was written in order.
func TestPointers_Scan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		scattered   int
		back        bool
		waves, gets int // at most
	}{
		{"in order", 0, false, 9, 40},
		{"in order, backwards", 0, true, 12, 60},
		{"scattered", 3000, false, 20, 400},
		{"scattered, backwards", 3000, true, 20, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGrove(c.scattered)
			tree := g.table(2500, 100, 0)
			g.grown()
			onClock(t, g, huge, func(w *world) {
				s := w.sqlite(g)
				waves, gets := w.waves(func() { s.scan(tree.root, c.back) })
				st := w.source.Stats()
				t.Logf("%d waves, %d GETs, %d of %d guesses right", waves, gets, st.Right, st.Guessed)
				if waves > c.waves || gets > c.gets {
					t.Errorf("%d waves and %d GETs, more than %d and %d", waves, gets, c.waves, c.gets)
				}
				if st.Right < st.Guessed*8/10 {
					t.Errorf("%d of %d guesses were right", st.Right, st.Guessed)
				}
			})
		})
	}
}

// A scan that comes to where its requests ended, because an interior page was not there yet, goes on in large ones at once. It reads that
// page itself, so it must not wait for as many leaves as it would have left alone otherwise.
func TestPointers_AtTheEdge(t *testing.T) {
	t.Parallel()
	g := newGrove(3000)
	table := g.table(1500, 400, 0)
	g.grown()
	onClock(t, g, huge, func(w *world) {
		s := w.sqlite(g)
		for leaf := range 50 {
			s.row(table.root, int64(4*leaf+1))
		}
		synctest.Wait()
		w.loseLeaves() // nothing of what was asked for ahead is here
		c := &s.courses[slices.IndexFunc(s.courses[:], func(c course) bool { return c.window > 0 })]
		c.edge, c.guess, c.stuck = c.here.clone(), 0, c.here.steps+100
		waves, gets := w.waves(func() {
			for leaf := 50; leaf < 150; leaf++ {
				s.row(table.root, int64(4*leaf+1))
			}
		})
		t.Logf("%d waves and %d GETs for a hundred leaves", waves, gets)
		if waves > 5 {
			t.Errorf("%d waves and %d GETs for a hundred leaves", waves, gets)
		}
	})
}

// loseLeaves takes all pages out of the cache but interior ones.
func (w *world) loseLeaves() {
	for i := range w.cache.shards {
		s := &w.cache.shards[i]
		s.mu.Lock()
		for _, k := range append(s.pages.Keys(), s.fresh.Keys()...) {
			if e, _ := s.findLocked(k); !e.interior {
				w.cache.remove(s, k, e)
			}
		}
		s.mu.Unlock()
	}
}

// A statement that looks rows up by an index waits for the index and for the table, not for each row.
func TestPointers_RowsOfAKey(t *testing.T) {
	t.Parallel()
	g := newGrove(0)
	const leaves, keys, each = 4000, 300, 18
	table := g.table(leaves, 100, 0)
	var entries []posting
	for key := range int32(keys) {
		rows := map[int32]bool{}
		for len(rows) < each {
			rows[1+g.rng.Int32N(4*leaves)] = true
		}
		for row := range int32(4*leaves + 1) {
			if rows[row] {
				entries = append(entries, posting{key, row})
			}
		}
	}
	idx := g.index(entries, 200)
	g.grown()
	onClock(t, g, huge, func(w *world) {
		s := w.sqlite(g)
		total, requests := 0, 0
		for n := range 40 {
			key := int(uint32(n)*2654435761%keys) * each
			clear(s.seen) // another connection's work in between
			waves, gets := w.waves(func() {
				s.page(idx.root)
				for i := key; i < key+each; i++ {
					s.page(idx.leaves[i/200])
					s.row(table.root, int64(entries[i].row))
				}
			})
			total, requests = total+waves, requests+gets
			if waves > 5 {
				t.Errorf("key %d: %d waves, %d GETs", n, waves, gets)
			}
		}
		st := w.source.Stats()
		t.Logf("%d waves and %d GETs for 40 keys, %d of %d guesses right", total, requests, st.Right, st.Guessed)
		if total > 40*3 {
			t.Errorf("%d waves for 40 keys of %d rows", total, each)
		}
		if st.Right < st.Guessed/2 {
			t.Errorf("%d of %d guesses were right", st.Right, st.Guessed)
		}
	})
}

// Rows that are read in the order of an index, anywhere in the table, come many at once.
func TestPointers_RowsInIndexOrder(t *testing.T) {
	t.Parallel()
	g := newGrove(0)
	const leaves = 2000
	table := g.table(leaves, 100, 0)
	var entries []posting
	for i, row := range g.rng.Perm(4 * leaves)[:1500] {
		entries = append(entries, posting{int32(i), int32(row + 1)})
	}
	idx := g.index(entries, 200)
	g.grown()
	onClock(t, g, huge, func(w *world) {
		s := w.sqlite(g)
		waves, gets := w.waves(func() {
			s.page(idx.root)
			for i, e := range entries {
				s.page(idx.leaves[i/200])
				s.row(table.root, int64(e.row))
			}
		})
		t.Logf("%d waves, %d GETs", waves, gets)
		if waves > 150 {
			t.Errorf("%d waves for %d rows", waves, len(entries))
		}
	})
}

// A row that goes on in a chain of pages takes one more wait, and rows that are read in order fewer than one each.
func TestPointers_Overflow(t *testing.T) {
	t.Parallel()
	g := newGrove(0)
	table := g.table(40, 100, 60)
	g.grown()
	onClock(t, g, huge, func(w *world) {
		s := w.sqlite(g)
		waves, gets := w.waves(func() { s.row(table.root, 21) })
		t.Logf("one row: %d waves, %d GETs", waves, gets)
		if waves > 4 {
			t.Errorf("%d waves for one row of 60 pages", waves)
		}
		waves, gets = w.waves(func() {
			for row := int64(41); row < 81; row++ {
				s.row(table.root, row)
			}
		})
		t.Logf("40 rows: %d waves, %d GETs", waves, gets)
		if waves > 40 {
			t.Errorf("%d waves for 40 rows of 60 pages", waves)
		}
	})
}

// The uppermost pages of all b-trees come with page 1.
func TestPointers_Roots(t *testing.T) {
	t.Parallel()
	g := newGrove(4000)
	var roots []uint32
	for range 20 {
		roots = append(roots, g.table(50, 10, 0).root)
	}
	g.grown()
	onClock(t, g, huge, func(w *world) {
		s := w.sqlite(g)
		waves, _ := w.waves(func() {
			for _, root := range roots {
				s.page(root)
			}
		})
		if waves != 0 {
			t.Errorf("%d waves for the roots", waves)
		}
	})
}

// What is fetched ahead in vain stays within the limit of a transaction, and ends where guesses are wrong.
func TestPointers_Limits(t *testing.T) {
	t.Parallel()
	g := newGrove(0)
	table := g.table(6000, 400, 0)
	g.grown()
	astray := func(s *sqlite, times int) {
		for range times { // a scan that always ends when it has begun
			first := g.rng.IntN(len(table.leaves) - 40)
			clear(s.seen)
			for i := range 40 {
				s.row(table.root, int64(4*(first+i)+1))
			}
		}
	}
	t.Run("off", func(t *testing.T) {
		onClock(t, g, huge, func(w *world) {
			w.source.SetReadAheadLimit(0)
			s := w.sqlite(g)
			astray(s, 20)
			if n := w.source.Stats().Guessed; n != 0 {
				t.Errorf("%d pages were guessed", n)
			}
		})
	})
	t.Run("of a transaction", func(t *testing.T) {
		const limit = 1 << 20
		onClock(t, g, huge, func(w *world) {
			w.source.SetReadAheadLimit(limit)
			s := w.sqlite(g)
			for range 5 {
				s.Begin()
				before := w.source.Stats()
				astray(s, 30)
				synctest.Wait()
				after := w.source.Stats()
				if vain := (after.Guessed - before.Guessed - after.Right + before.Right) * 4096; vain > limit+minBatch {
					t.Errorf("%d bytes fetched in vain, with a limit of %d", vain, limit)
				}
			}
		})
	})
	t.Run("of a tree", func(t *testing.T) {
		g := newGrove(12_000)
		table := g.table(6000, 400, 0)
		g.grown()
		onClock(t, g, 400*entrySize, func(w *world) {
			s := w.sqlite(g)
			const credit = 4 << 20
			w.source.trees.of(table.root).credit.Store(credit)
			rounds := 1000
			if testing.Short() {
				rounds = 300
			}
			for range rounds {
				first := g.rng.IntN(len(table.leaves) - 10)
				s.Begin()
				for i := range 6 { // a scan that always ends when it has begun
					s.page(table.leaves[first+i])
				}
			}
			st := w.source.Stats()
			t.Logf("%d pages were guessed, %d of them right; %d missed", st.Guessed, st.Right, st.Misses)
			if most := int64(credit)/4096 + 2*st.Right + st.Misses/penance; st.Guessed > most {
				t.Errorf("%d pages were guessed, more than %d", st.Guessed, most)
			}
			if st.Guessed == 0 {
				t.Error("nothing was guessed at all")
			}
		})
	})
}

// An interrupted statement cancels what it has asked for ahead, and closing the reader what is left.
func TestPointers_Interrupt(t *testing.T) {
	t.Parallel()
	g := newGrove(0)
	table := g.table(3000, 100, 0)
	g.grown()
	for _, how := range []string{"interrupted", "closed"} {
		onClock(t, g, huge, func(w *world) {
			s := w.sqlite(g)
			ctx, cancel := context.WithCancel(background)
			s.ctx = ctx
			for row := range int64(400) {
				s.row(table.root, row+1)
			}
			synctest.Wait()
			if n := w.spy.inFlight.Load(); n == 0 {
				t.Fatal("nothing is under way")
			}
			if how == "closed" {
				s.Close()
			}
			cancel()
			synctest.Wait()
			if n := w.spy.inFlight.Load(); n != 0 {
				t.Errorf("%s: %d requests are still under way", how, n)
			}
		})
	}
}

// A reader that waits does not stand in line behind what was asked for ahead.
func TestPointers_ForegroundFirst(t *testing.T) {
	t.Parallel()
	g := newGrove(5000)
	table := g.table(3000, 300, 0)
	g.grown()
	synctest.Test(t, func(t *testing.T) {
		w := g.open(t, huge)
		w.spy.delay(25 * time.Millisecond)
		s := w.sqlite(g)
		s.page(table.root)
		for i := range 6 {
			s.row(table.root, int64(4*i+1))
		}
		synctest.Wait()
		release := make(chan struct{})
		w.spy.hook(func(ctx context.Context, _ get) error {
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		v := w.tracker.View()
		far := table.leaves[1000:1200]
		s.gather(background, v, far, reach{tree: w.source.trees.of(table.root), most: 1})
		synctest.Wait()
		if n := w.spy.inFlight.Load(); n != aheadSlots {
			t.Errorf("%d requests ahead are under way, not %d", n, aheadSlots)
		}
		done := make(chan error)
		late := far[len(far)-1] // is asked for, and stands last in line
		go func() { done <- w.reader().read(background, v, late) }()
		synctest.Wait()
		if n := w.spy.inFlight.Load(); n != aheadSlots+1 {
			t.Errorf("%d requests are under way with one that is waited for, not %d", n, aheadSlots+1)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// What pages say may be anything. Reading them is right nevertheless, and ends.
func TestPointers_Nonsense(t *testing.T) {
	t.Parallel()
	rounds := 9
	if testing.Short() {
		rounds = 3
	}
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 1))
		g := newGrove(0)
		const size = 400
		for pgno := uint32(1); pgno <= size; pgno++ {
			page := make([]byte, 4096)
			for i := range page[:2000] {
				page[i] = byte(rng.Uint32())
			}
			head := 0
			if pgno == 1 {
				copy(page, "SQLite format 3\x00")
				head = 100
			}
			page[head] = []byte{btree.InteriorTable, btree.InteriorIndex, btree.LeafIndex, btree.LeafTable, 0}[rng.IntN(5)]
			cells := rng.IntN(300)
			binary.BigEndian.PutUint16(page[head+3:], uint16(cells))
			binary.BigEndian.PutUint32(page[head+8:], rng.Uint32N(size+10))
			for i := range cells {
				off := 2000 + rng.IntN(2090)
				binary.BigEndian.PutUint16(page[head+12+2*i:], uint16(off))
				binary.BigEndian.PutUint32(page[min(off, 4092):], rng.Uint32N(size+10))
			}
			g.pages[pgno] = page
			g.made.Store(version{pgno, 1}, page)
		}
		g.commit(size)
		w := g.open(t, []int64{0, 50 * entrySize, huge}[seed%3])
		s := w.reader()
		v := w.tracker.View()
		for range 300 {
			first := 1 + rng.Uint32N(size)
			if rng.IntN(4) == 0 {
				first = 1
			}
			for pgno, n := first, 0; pgno >= 1 && pgno <= size && n < 10; n++ { // down a way
				s.mustRead(v, pgno)
				t, ok := btree.OpenInterior(g.pages[pgno], pgno)
				if !ok {
					break
				}
				pgno = t.Child(rng.IntN(t.Len()))
			}
		}
	}
}

// TestPointers_ScanInParallel wants a cold scan to take few waves of few requests, on a clock on which nothing takes time but these. Its speed is
// logged beside that of plain range GETs, which depends on which goroutine runs first: half of what it is would be a scan that has lost its way.
func TestPointers_ScanInParallel(t *testing.T) {
	t.Parallel()
	const latency = 25 * time.Millisecond
	type pair struct {
		link  int64   // MB/s; 0 is without limit
		share float64 // of the speed of 16 plain requests
	}
	leaves, pairs := 12_000, []pair{{125, 0.4}, {250, 0.35}, {500, 0.25}, {0, 0.1}} // 48 MB
	if testing.Short() {
		leaves, pairs = 5000, []pair{{125, 0.3}}
	}
	g := newGrove(0)
	table := g.table(leaves, 400, 0)
	g.grown()
	for _, c := range pairs {
		synctest.Test(t, func(t *testing.T) {
			w := g.open(t, 64<<20)
			w.spy = slow(g.store, latency, c.link)
			w.source.store = w.spy
			s := w.sqlite(g)
			time.Sleep(time.Second)
			began := time.Now()
			w.must(plain(background, w.spy, s.v, 16))
			best := time.Since(began)
			began = time.Now()
			s.scan(table.root, false)
			took := time.Since(began)
			share := float64(best) / float64(took)
			t.Logf("link of %d MB/s: plain %s, scan %s: %.0f %%, %d requests", c.link, best, took, 100*share, s.requests)
			if share < c.share {
				t.Errorf("link of %d MB/s: scan takes %s, plain GETs %s", c.link, took, best)
			}
			if most := int64(50); s.requests > most {
				t.Errorf("link of %d MB/s: %d requests, want at most %d", c.link, s.requests, most)
			}
		})
	}
}
