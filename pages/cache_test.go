package pages

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
)

// filled is a cache of some pages that a test names by number.
type filled struct{ *Cache }

func (c filled) key(pgno uint32) key { return key{version: 1, pgno: pgno, owner: 1} }

// page is a leaf, or an interior page.
func (c filled) page(interior bool) []byte {
	p := make([]byte, 4096)
	p[0] = 13
	if interior {
		p[0] = 5
	}
	return p
}

func (c filled) put(interior bool, pgnos ...uint32) {
	for _, pgno := range pgnos {
		c.Cache.put(c.key(pgno), c.page(interior), false)
	}
}

func (c filled) count(pgnos []uint32) (n int) {
	for _, pgno := range pgnos {
		if c.has(c.key(pgno)) {
			n++
		}
	}
	return n
}

func (c filled) read(pgnos ...uint32) {
	for _, pgno := range pgnos {
		c.get(c.key(pgno), nil)
	}
}

func TestCache_InteriorPagesOutliveLeaves(t *testing.T) {
	t.Parallel()
	c := filled{NewCache(1000 * entrySize)}
	interior := span(101, 200)
	c.put(true, interior...)
	c.put(false, span(1001, 21_000)...)
	if n := c.count(interior); n != 100 {
		t.Errorf("%d of 100 interior pages are left after 20 times the cache in leaves", n)
	}
	// But leaves do not starve.
	for pgno := uint32(30_000); pgno < 40_000; pgno += 2 {
		c.put(true, pgno)
		c.put(false, pgno+1)
		c.read(pgno + 1) // what nobody asks for does not count
	}
	if n := c.interior.Load() / entrySize; n < 400 || n > 700 {
		t.Errorf("interior pages take %d of 1000 pages when as many come as leaves", n)
	}
}

func TestCache_ScanLeavesHotPages(t *testing.T) {
	t.Parallel()
	c := filled{NewCache(1000 * entrySize)}
	hot := span(1, 300)
	c.put(false, hot...)
	for range 3 {
		c.read(hot...)
	}
	for pgno := uint32(1001); pgno <= 2000; pgno++ { // as large as the cache
		c.put(false, pgno)
		c.read(pgno) // a scan reads each page once
	}
	if n := c.count(hot); n < 290 {
		t.Errorf("%d of 300 hot pages are left after a scan", n)
	}
	for pgno := uint32(3001); pgno <= 20_000; pgno++ {
		c.put(false, pgno)
		c.read(pgno, hot[pgno%300])
	}
	if n := c.count(hot); n < 290 {
		t.Errorf("%d of 300 pages in use are left after a long scan", n)
	}
	for pgno := uint32(20_001); pgno <= 30_000; pgno++ {
		c.put(false, pgno)
		c.read(pgno)
	}
	if n := c.count(hot); n > 10 {
		t.Errorf("%d of 300 pages are left that were not used for long", n)
	}
}

// A page that was asked for once stays while neighbours, which nobody asked for, come along with others.
func TestCache_NeighboursGoFirst(t *testing.T) {
	t.Parallel()
	c := filled{NewCache(1000 * entrySize)}
	asked := span(1, 700)
	for _, pgno := range asked { // as misses bring them
		c.put(false, pgno)
		c.read(pgno)
		for i := range uint32(19) {
			c.put(false, 10_000+20*pgno+i)
		}
	}
	if n := c.count(asked); n != len(asked) {
		t.Errorf("%d of %d pages are left that were asked for", n, len(asked))
	}
	if n := c.fresh.Load() / entrySize; n < 100 {
		t.Errorf("%d neighbours are left, though there is room", n)
	}
	// Those that are asked for after all are like the others.
	late := span(10_000+20*700, 10_000+20*700+18)
	c.read(late...)
	for pgno := range uint32(2000) {
		c.put(false, 100_000+pgno)
	}
	if n := c.count(late); n != len(late) {
		t.Errorf("%d of %d neighbours are left that were asked for", n, len(late))
	}
}

// What a scan asked for long ago, and asks for again, is as good as new: it must not go just before it is read.
func TestCache_AwaitedAgain(t *testing.T) {
	t.Parallel()
	c := filled{NewCache(1000 * entrySize)}
	for pgno := uint32(1); pgno <= 10; pgno++ {
		c.Cache.put(c.key(pgno), c.page(false), true)
	}
	others := uint32(1000)
	pass := func(pages int) {
		for range pages {
			others++
			c.put(false, others)
			c.read(others)
		}
	}
	pass(2000) // twice what fits
	for pgno := uint32(1); pgno <= 5; pgno++ {
		c.await(c.key(pgno))
	}
	pass(1600)
	if again, once := c.count(span(1, 5)), c.count(span(6, 10)); again != 5 || once != 0 {
		t.Errorf("%d of 5 pages awaited again are left, and %d of 5 that were not", again, once)
	}
}

// Pages that a scan is about to read stay while there are others, also where the shard that has to give one holds nothing else.
func TestCache_CrowdOfAwaited(t *testing.T) {
	t.Parallel()
	c := filled{NewCache(1000 * entrySize)}
	var shard, others []uint32 // those of one shard, and of the rest
	for pgno := uint32(1); len(shard) < 2*crowd || len(others) < 1000; pgno++ {
		if c.key(pgno).shard() == 0 {
			shard = append(shard, pgno)
		} else {
			others = append(others, pgno)
		}
	}
	awaited, next := shard[:crowd], shard[crowd:2*crowd]
	for _, pgno := range awaited {
		c.Cache.put(c.key(pgno), c.page(false), true)
	}
	for _, pgno := range others[:1000-crowd] {
		c.put(false, pgno)
		c.read(pgno)
	}
	for _, pgno := range next {
		c.Cache.put(c.key(pgno), c.page(false), true)
	}
	if n := c.count(awaited) + c.count(next); n != 2*crowd {
		t.Errorf("%d of %d pages are left that are about to be read, and %d of others", n, 2*crowd, c.count(others))
	}
}

// TestCache_FewPages fills caches of less than a page for each shard: the newest pages are the ones that are kept.
func TestCache_FewPages(t *testing.T) {
	t.Parallel()
	for n := range uint32(12) {
		c := filled{NewCache(int64(n) * entrySize)}
		for pgno := uint32(1); pgno <= 200; pgno++ {
			c.put(false, pgno)
			if want := min(pgno, n); c.Used() != int64(want)*entrySize {
				t.Fatalf("cache of %d pages uses %d bytes after %d", n, c.Used(), pgno)
			}
			if n > 0 && !c.has(c.key(pgno)) {
				t.Fatalf("cache of %d pages did not take page %d", n, pgno)
			}
		}
	}
}

func TestCache_SetBudget(t *testing.T) {
	t.Parallel()
	r := layered()
	w := r.openAdmitting(t, 8<<20)
	v := w.tracker.View()
	w.reader().mustRead(v, span(1, v.Commit)...)
	w.source.wg.Wait()
	for _, budget := range []int64{8 << 20, 3 << 20, 1 << 20, 5 * entrySize, 100, 0, 1 << 20} {
		w.cache.SetBudget(budget)
		if got := w.cache.Used(); got > budget {
			t.Errorf("cache uses %d bytes of %d", got, budget)
		}
		w.audit()
		w.reader().mustRead(v, span(1, v.Commit)...)
		w.source.wg.Wait()
		w.audit()
	}
}

// TestCache_BudgetHolds looks at the account all the time while pages of three sizes come and go, budgets change and
// owners leave.
func TestCache_BudgetHolds(t *testing.T) {
	t.Parallel()
	c := NewCache(100 * entrySize)
	stop := make(chan struct{})
	var watch, work sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if n := c.Used(); n < 0 || n > 100*entrySize {
				t.Errorf("cache uses %d bytes", n)
				return
			}
			runtime.Gosched()
		}
	})
	for n := range uint32(4) {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			for i := range 2500 {
				k := key{version: 1, pgno: rng.Uint32N(1000), owner: n}
				switch i % 500 {
				case 100:
					c.SetBudget(int64(rng.Uint32N(100)) * entrySize)
				case 200:
					c.SetBudget(100 * entrySize)
				case 499:
					c.drop(n)
				case 50, 150, 250:
					data := make([]byte, rng.Uint32N(40_000))
					c.putRaw(fileKey{owner: n, max: index.TXID(rng.Uint32N(50))}, index.Blob{Data: data})
				default:
					data := make([]byte, []int{512, 4096, 65536}[k.pgno%3])
					data[0] = byte(k.pgno%7) + 1
					c.put(k, data, i%3 == 0)
					c.get(k, nil)
				}
			}
		})
	}
	work.Wait()
	close(stop)
	watch.Wait()
	(&world{t: t, cache: c}).audit()
	for n := range uint32(4) {
		c.drop(n)
	}
	if n := c.Used(); n != 0 {
		t.Errorf("empty cache uses %d bytes", n)
	}
}

// TestCache_SharedBySources keeps the pages of replicas apart.
func TestCache_SharedBySources(t *testing.T) {
	t.Parallel()
	a, b := newReplica(4096), newReplica(4096)
	a.commit(100)
	b.commit(100)
	b.interior = func(uint32) bool { return true } // else their pages would be the same
	b.commit(100, span(1, 100)...)
	wa := a.open(t, huge)
	wb := b.open(t, 0)
	wb.source.Close()
	wb.cache = wa.cache
	wb.source = NewSource(wb.spy, wb.tracker, wa.cache)
	wb.shares = true
	va, vb := wa.tracker.View(), wb.tracker.View()
	ra, rb := wa.reader(), wb.reader()
	for range 2 {
		ra.mustRead(va, span(1, 100)...)
		rb.mustRead(vb, span(1, 100)...)
	}
	both := wa.cache.Used()
	wb.source.Close()
	if n := wa.cache.Used(); n != both/2 {
		t.Errorf("%d of %d bytes are left after one of two has gone", n, both)
	}
	wa.spy.take()
	ra.mustRead(va, span(1, 100)...)
	if gets := wa.spy.take(); len(gets) != 0 {
		t.Errorf("%d requests for what is in the cache", len(gets))
	}
}

// TestCache_Overhead compares what the cache says with what it takes.
func TestCache_Overhead(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, n := range []uint32{10_000, 25_000} {
		before := heap()
		c := NewCache(huge)
		for pgno := range n {
			data := make([]byte, 512)
			c.put(key{version: 1, pgno: pgno + 1, owner: 1}, data, false)
		}
		took := int64(heap() - before)
		if said := c.Used(); took > said*11/10 || took < said*8/10 {
			t.Errorf("%d pages take %d bytes, the cache says %d", n, took, said)
		}
		runtime.KeepAlive(c)
	}
}

// TestAdmit serves pages that came with indexes without a request, and keeps no more of them than a quarter of the budget.
func TestAdmit(t *testing.T) {
	t.Parallel()
	r := newReplica(4096)
	r.commit(60)
	for pgno := range uint32(20) {
		r.commit(60, pgno+1, 1)
	}
	for _, budget := range []int64{0, 40 * entrySize, huge} {
		t.Run(fmt.Sprint(budget), func(t *testing.T) {
			w := r.openAdmitting(t, budget)
			v := w.tracker.View()
			w.audit()
			if w.cache.Used() > budget/4 {
				t.Errorf("bytes from indexes take %d of %d", w.cache.Used(), budget)
			}
			reader := w.reader()
			reader.SetLimit(1)
			if budget == huge {
				reader.mustRead(v, span(1, 60)...)
				reader.mustRead(v, span(60, 1)...)
				if gets := w.spy.take(); len(gets) != 0 {
					t.Errorf("%d requests for what came with indexes", len(gets))
				}
				return
			}
			reader.SetLimit(0)
			reader.mustRead(v, span(1, 60)...)
			w.source.wg.Wait()
			w.audit()
		})
	}
}
