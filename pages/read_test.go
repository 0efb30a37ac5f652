package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// entrySize is what a page of 4096 bytes takes in the cache.
const entrySize = 4096 + entryOverhead

var budgets = []struct {
	name   string
	budget int64
}{
	{"no cache", 0},
	{"cache of five pages", 5 * entrySize},
	{"cache of a megabyte", 1 << 20},
	{"cache of everything", huge},
}

// layered is a replica with a large first file, a merged one, single ones, one that shrinks and one that grows again.
func layered() *replica { return makeLayered().clone() }

var makeLayered = sync.OnceValue(func() *replica {
	rng := rand.New(rand.NewPCG(7, 7))
	r := newReplica(4096)
	some := func(n int, max uint32) []uint32 {
		pgnos := []uint32{1}
		for range n {
			pgnos = append(pgnos, 1+rng.Uint32N(max))
		}
		return pgnos
	}
	r.commit(1200)
	for range 4 {
		r.commit(1200, some(60, 1200)...)
	}
	r.merge(1, 1, 3)
	r.commit(1250, append(some(20, 1250), span(600, 900)...)...)
	r.commit(700, some(10, 700)...)
	r.commit(1000, some(10, 1000)...)
	r.commit(1000, 5)
	return r
})

// orders are ways through a database of n pages.
var orders = []struct {
	name  string
	pages func(n uint32) []uint32
}{
	{"forwards", func(n uint32) []uint32 { return span(1, n) }},
	{"backwards", func(n uint32) []uint32 { return span(n, 1) }},
	{"random", func(n uint32) []uint32 {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		pgnos := make([]uint32, n)
		for i := range pgnos {
			pgnos[i] = 1 + rng.Uint32N(n)
		}
		return pgnos
	}},
	{"every seventh", func(n uint32) []uint32 {
		var pgnos []uint32
		for start := uint32(1); start <= 7; start++ {
			for pgno := start; pgno <= n; pgno += 7 {
				pgnos = append(pgnos, pgno)
			}
		}
		return pgnos
	}},
	{"three scans, one of them backwards", func(n uint32) []uint32 {
		var pgnos []uint32
		for i := uint32(0); i < n/3; i++ {
			pgnos = append(pgnos, 1+i, 2*(n/3)-i, 2*(n/3)+1+i)
		}
		return pgnos
	}},
	{"scan with root and random pages between", func(n uint32) []uint32 {
		rng := rand.New(rand.NewPCG(2, uint64(n)))
		var pgnos []uint32
		for pgno := uint32(1); pgno <= n; pgno++ {
			pgnos = append(pgnos, pgno, 1)
			for range pgno % 3 {
				pgnos = append(pgnos, 1+rng.Uint32N(n))
			}
		}
		return pgnos
	}},
}

func TestReadPage_EveryPageRight(t *testing.T) {
	r := layered()
	for _, b := range budgets {
		for _, order := range orders {
			t.Run(b.name+"/"+order.name, func(t *testing.T) {
				t.Parallel()
				w := r.open(t, b.budget)
				reader := w.reader()
				v := w.tracker.View()
				for range 2 { // cold, then as warm as the budget allows
					reader.Begin()
					reader.mustRead(v, order.pages(v.Commit)...)
					w.source.wg.Wait()
					w.audit()
				}
			})
		}
	}
}

func TestReadPage_EveryMomentThroughOneReader(t *testing.T) {
	t.Parallel()
	r := layered()
	w := r.open(t, 4<<20)
	tl, err := w.tracker.Timeline(t.Context())
	w.must(err)
	reader := w.reader()
	var views []*index.View
	for _, txid := range tl.TXIDs() {
		v, err := tl.At(t.Context(), txid)
		w.must(err)
		views = append(views, v)
		reader.mustRead(v, span(1, v.Commit)...)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	for range 2000 { // and in turn
		v := views[rng.IntN(len(views))]
		reader.mustRead(v, 1+rng.Uint32N(v.Commit))
	}
}

// TestReadPage_OtherPageSizes reads databases of the smallest and of the largest pages.
func TestReadPage_OtherPageSizes(t *testing.T) {
	t.Parallel()
	size := uint32(1_500_000)
	if testing.Short() {
		size = 700_000
	}
	for _, pageSize := range []uint32{512, 1024, 65536} {
		for _, budget := range []int64{0, 100_000, huge} {
			r := newReplica(pageSize)
			n := size / pageSize
			r.commit(n)
			r.commit(n, 1, 2, 9)
			w := r.open(t, budget)
			v := w.tracker.View()
			w.reader().mustRead(v, span(1, v.Commit)...)
			w.reader().mustRead(v, span(v.Commit, 1)...)
		}
	}
}

// TestReadPage_PinnedViews has readers on Views of all ages while the writer goes on, merges and removes files.
func TestReadPage_PinnedViews(t *testing.T) {
	t.Parallel()
	for _, budget := range []int64{0, 200 * entrySize} {
		t.Run(fmt.Sprint(budget), func(t *testing.T) {
			t.Parallel()
			r := layered()
			w := r.open(t, budget)
			done := make(chan struct{})
			var wg sync.WaitGroup
			for n := range 4 {
				reader := w.reader()
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(n), 5))
					for round := 0; ; round++ {
						v := w.tracker.View()
						order := orders[rng.IntN(len(orders))]
						reader.Begin()
						for i, pgno := range order.pages(v.Commit) {
							if i > 250 {
								break
							}
							err := reader.read(t.Context(), v, pgno)
							if errors.Is(err, index.ErrViewExpired) {
								break // the files of this moment are gone; the next transaction begins at another
							}
							if err != nil {
								t.Error(err)
								return
							}
						}
						select {
						case <-done:
							return
						default:
						}
					}
				})
			}
			rng := rand.New(rand.NewPCG(9, 9))
			for n := range 7 {
				size := 800 + rng.Uint32N(600)
				var pgnos []uint32
				for range 40 {
					pgnos = append(pgnos, 1+rng.Uint32N(size))
				}
				r.commit(size, append(pgnos, 1)...)
				w.must(w.tracker.Refresh(t.Context()))
				if n == 5 {
					r.merge(2, 1, r.head()-1)
					r.remove(0, 1, r.head()-1)
				}
			}
			close(done)
			wg.Wait()
			w.source.wg.Wait()
			w.audit()
		})
	}
}

// R9: a page without an entry in any index.
func TestReadPage_Hole(t *testing.T) {
	t.Parallel()
	r := newReplica(4096)
	r.commit(10)
	r.commit(20)
	r.put(0, 2, slices.DeleteFunc(span(11, 20), func(pgno uint32) bool { return pgno == 15 }))
	w := r.open(t, huge)
	reader := w.reader()
	v := w.tracker.View()
	err := reader.read(t.Context(), v, 15)
	if !errors.Is(err, index.ErrCorrupt) || !strings.Contains(err.Error(), "page 15 of 20") {
		t.Errorf("page without a frame: %v", err)
	}
	if gets := w.spy.take(); len(gets) != 0 || w.cache.Used() != 0 {
		t.Errorf("%d requests, %d bytes in the cache", len(gets), w.cache.Used())
	}
	reader.mustRead(v, 14, 16)
}

// R12: frames that are no frames.
func TestReadPage_BadFrames(t *testing.T) {
	t.Parallel()
	const bad = 50
	for name, damage := range map[string]func(frame []byte){
		"another page":  func(frame []byte) { frame[3]++ },
		"unknown flags": func(frame []byte) { frame[5] |= 0x40 },
		"another size":  func(frame []byte) { frame[9]-- },
		"truncated":     func(frame []byte) { clear(frame[len(frame)/2:]) },
		"bomb": func(frame []byte) {
			copy(frame[10:], append([]byte{0x1f, 7, 1, 0}, bytes.Repeat([]byte{255}, 2000)...))
		},
		"nothing":         func(frame []byte) { clear(frame) },
		"reads backwards": func(frame []byte) { copy(frame[10:], []byte{0x1f, 7, 0xff, 0xff}) },
	} {
		for _, budget := range []int64{0, huge} {
			t.Run(fmt.Sprintf("%s/%d", name, budget), func(t *testing.T) {
				t.Parallel()
				r := newReplica(4096)
				r.commit(300)
				f := index.File{Min: 1, Max: 1}
				p := r.open(t, 0)
				at := p.lookup(p.tracker.View(), bad)
				data := bytes.Clone(r.object(f))
				damage(data[at.Frame.Off:end(at)])
				r.putFile(f, data)

				w := r.open(t, budget)
				v := w.tracker.View()
				reader := w.reader()
				for range 2 {
					for _, pgno := range span(1, 300) {
						err := reader.read(t.Context(), v, pgno)
						switch {
						case pgno != bad:
							w.must(err)
						case !errors.Is(err, index.ErrCorrupt):
							t.Fatalf("damaged page: %v", err)
						case !strings.Contains(err.Error(), "page 50 ") || !strings.Contains(err.Error(), at.Frame.File.String()):
							t.Fatalf("error names neither page nor file: %v", err)
						}
					}
				}
				if w.cache.has(w.source.key(v, w.lookup(v, bad))) {
					t.Error("the damaged page is in the cache")
				}
			})
		}
	}
}

// TestReadPage_EveryFault fails one request after the other: the read with it fails and says so, all others succeed.
func TestReadPage_EveryFault(t *testing.T) {
	t.Parallel()
	r := newReplica(4096)
	r.commit(1500)
	errFault := errors.New("fault")
	for n := 0; ; n++ {
		w := r.open(t, huge)
		v := w.tracker.View()
		var mu sync.Mutex
		calls, fired := 0, false
		w.spy.hook(func(context.Context, get) error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			if calls == n+1 {
				fired = true
				return errFault
			}
			return nil
		})
		reader := w.reader()
		failed := 0
		for _, pgno := range span(1, v.Commit) {
			if err := reader.read(t.Context(), v, pgno); err != nil {
				failed++
				if !errors.Is(err, errFault) || !strings.Contains(err.Error(), "L0/") {
					t.Fatalf("request %d: %v", n, err)
				}
				w.must(reader.read(t.Context(), v, pgno)) // it passes
			}
		}
		if failed > 1 {
			t.Fatalf("request %d failed %d reads", n, failed)
		}
		if !fired {
			return
		}
	}
}

// TestReadPage_PrefetchFails refuses every request that nobody waits for: no read fails.
func TestReadPage_PrefetchFails(t *testing.T) {
	t.Parallel()
	for _, order := range orders[:2] {
		r := newReplica(4096)
		r.commit(2000)
		w := r.open(t, huge)
		v := w.tracker.View()
		reader := w.reader()
		var mu sync.Mutex
		var want index.Page
		refused := 0
		w.spy.hook(func(_ context.Context, g get) error {
			mu.Lock()
			defer mu.Unlock()
			if !g.has(want) {
				refused++
				return objstore.ErrTemporary
			}
			return nil
		})
		for _, pgno := range order.pages(v.Commit) {
			mu.Lock()
			want = w.lookup(v, pgno)
			mu.Unlock()
			w.must(reader.read(t.Context(), v, pgno))
		}
		if refused == 0 {
			t.Errorf("%s: nothing was fetched ahead", order.name)
		}
	}
}

func TestReadPage_Budget(t *testing.T) {
	t.Parallel()
	w := large().open(t, huge)
	v := w.tracker.View()
	reader := w.reader()

	reader.SetLimit(3)
	reader.mustRead(v, 100, 1000, 2000)
	reader.mustRead(v, 100, 1001, 2000) // these are here
	if err := reader.read(t.Context(), v, 2900); !errors.Is(err, ErrBudget) {
		t.Errorf("fourth request of three: %v", err)
	}
	if gets := w.spy.take(); len(gets) != 3 {
		t.Errorf("%d requests of three", len(gets))
	}
	reader.Begin()
	reader.mustRead(v, 2900)
	reader.SetLimit(0)
	reader.mustRead(v, span(1, 500)...)
	w.source.wg.Wait()
	w.spy.take()

	// A replica of which nothing is cached: how far the reader above has read ahead depends on how long it had to wait.
	w = large().open(t, huge)
	v = w.tracker.View()
	reader = w.reader()
	reader.SetLimit(8)
	reader.Begin()
	var err error
	for pgno := v.Commit; err == nil && pgno > 0; pgno-- {
		err = reader.read(t.Context(), v, pgno)
	}
	w.source.wg.Wait()
	if gets := w.spy.take(); !errors.Is(err, ErrBudget) || len(gets) != 8 {
		t.Errorf("scan within a budget of eight made %d requests: %v", len(gets), err)
	}
	for _, limit := range []int64{1, 2, 3, 5} {
		w := large().open(t, huge)
		v := w.tracker.View()
		reader := w.reader()
		reader.SetLimit(limit)
		var err error
		for pgno := uint32(1); err == nil; pgno++ {
			err = reader.read(t.Context(), v, pgno)
		}
		w.source.wg.Wait()
		if gets := w.spy.take(); !errors.Is(err, ErrBudget) || int64(len(gets)) != limit {
			t.Errorf("scan within a budget of %d made %d requests: %v", limit, len(gets), err)
		}
	}
}
