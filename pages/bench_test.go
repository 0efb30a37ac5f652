package pages

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// BenchmarkWarmRead reads pages that are in the cache, from databases of three sizes, by one reader and by several.
func BenchmarkWarmRead(b *testing.B) {
	for _, pages := range []uint32{10_000, 1_000_000, 10_000_000} {
		if pages > 1_000_000 && testing.Short() {
			continue
		}
		g := newGiant(pages, shortFrame)
		tracker, err := index.Open(b.Context(), g, index.Options{})
		if err != nil {
			b.Fatal(err)
		}
		cache := NewCache(1 << 30)
		source := NewSource(g, tracker, cache)
		source.SetMaxAhead(0) // nothing but the pages asked for
		v := tracker.View()
		// As many pages everywhere, spread over the whole database.
		working := make([]uint32, 1000) // 4 MB: what is measured is the way to the page, not the memory
		buf := make([]byte, giantPage)
		r := source.NewReader()
		for i := range working {
			working[i] = 1 + uint32(i)*(pages/uint32(len(working)))
			if err := r.ReadPage(b.Context(), v, working[i], buf); err != nil {
				b.Fatal(err)
			}
		}
		r.Close()
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(working), func(i, j int) { working[i], working[j] = working[j], working[i] })
		for _, readers := range []int{1, runtime.GOMAXPROCS(0)} {
			b.Run(fmt.Sprintf("pages=%d/readers=%d", pages, readers), func(b *testing.B) {
				benchmarkWarm(b, source, v, readers, func(i uint32) uint32 { return working[i%uint32(len(working))] })
			})
		}
		if pages == 10_000 {
			b.Run(fmt.Sprintf("pages=%d/readers=%d/same=true", pages, runtime.GOMAXPROCS(0)), func(b *testing.B) {
				benchmarkWarm(b, source, v, runtime.GOMAXPROCS(0), func(uint32) uint32 { return working[0] })
			})
		}
		source.Close()
	}
}

func benchmarkWarm(b *testing.B, source *Source, v *index.View, readers int, next func(i uint32) uint32) {
	b.ReportAllocs()
	before := source.Stats()
	var wg sync.WaitGroup
	var failed atomic.Value
	b.ResetTimer()
	for n := range readers {
		wg.Go(func() {
			r := source.NewReader()
			defer r.Close()
			buf := make([]byte, giantPage)
			ctx := context.Background()
			for i := uint32(n * 1000); i < uint32(n*1000+b.N/readers); i++ {
				if err := r.ReadPage(ctx, v, next(i), buf); err != nil {
					failed.Store(fmt.Sprint(err))
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if err := failed.Load(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(source.Stats().Fetches-before.Fetches)/float64(b.N), "GETs/op")
}

// BenchmarkColdScan reads a whole database in order with nothing in the cache, and the same bytes by plain range GETs
// side by side, decoded as well. A link of 0 MB/s is one without limit.
func BenchmarkColdScan(b *testing.B) {
	g := newGiant(40_000, longFrame) // 160 MB
	for _, c := range []struct {
		delay time.Duration
		link  int64 // MB/s
	}{{0, 0}, {5 * time.Millisecond, 0}, {25 * time.Millisecond, 0}, {25 * time.Millisecond, 500}, {25 * time.Millisecond, 125}} {
		at := fmt.Sprintf("delay=%s/link=%d", c.delay, c.link)
		for _, requests := range []int{8, 16} {
			b.Run(fmt.Sprintf("%s/how=plain/requests=%d", at, requests), func(b *testing.B) {
				benchmarkPlain(b, slow(g, c.delay, c.link), requests)
			})
		}
		for _, budget := range []int64{64 << 20, 1 << 30} {
			b.Run(fmt.Sprintf("%s/how=pages/cacheMiB=%d", at, budget>>20), func(b *testing.B) {
				benchmarkScan(b, slow(g, c.delay, c.link), budget)
			})
		}
	}
}

// slow is a store at some distance: each request waits for the delay, and all share the link.
func slow(store objstore.Store, delay time.Duration, link int64) *spy {
	s := &spy{Store: store}
	if delay == 0 {
		return s
	}
	var mu sync.Mutex
	var free time.Time
	s.hook(func(ctx context.Context, g get) error {
		arrives := time.Now().Add(delay)
		if link > 0 {
			mu.Lock()
			if free.After(arrives) {
				arrives = free
			}
			arrives = arrives.Add(time.Duration(g.n * 1000 / link))
			free = arrives
			mu.Unlock()
		}
		return sleep(ctx, time.Until(arrives))
	})
	return s
}

func benchmarkScan(b *testing.B, store *spy, budget int64) {
	tracker, err := index.Open(b.Context(), store, index.Options{})
	if err != nil {
		b.Fatal(err)
	}
	v := tracker.View()
	buf := make([]byte, v.PageSize)
	b.SetBytes(int64(v.Commit) * int64(v.PageSize))
	store.take()
	for b.Loop() {
		source := NewSource(store, tracker, NewCache(budget))
		reader := source.NewReader()
		for pgno := uint32(1); pgno <= v.Commit; pgno++ {
			if err := reader.ReadPage(b.Context(), v, pgno, buf); err != nil {
				b.Fatal(err)
			}
		}
		reader.Close()
		source.Close()
	}
	gets := store.take()
	b.ReportMetric(float64(len(gets))/float64(b.N), "GETs/op")
	b.ReportMetric(float64(sum(gets))/float64(b.N)/float64(encodedSize(v)), "fetched/needed")
}

func encodedSize(v *index.View) (n int64) {
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		p, _ := v.Lookup(pgno)
		n += p.Frame.Size
	}
	return n
}

// benchmarkPlain is what benchmarkScan is compared with.
func benchmarkPlain(b *testing.B, store *spy, requests int) {
	tracker, err := index.Open(b.Context(), store, index.Options{})
	if err != nil {
		b.Fatal(err)
	}
	v := tracker.View()
	b.SetBytes(int64(v.Commit) * int64(v.PageSize))
	store.take()
	for b.Loop() {
		if err := plain(b.Context(), store, v, requests); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(store.take()))/float64(b.N), "GETs/op")
}

// plain fetches the file that holds page 1 in ranges of 2 MiB, so many at a time, decodes every frame and copies it once.
func plain(ctx context.Context, store objstore.RangeReader, v *index.View, requests int) error {
	first, _ := v.Lookup(1)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for s, ok := first.Around(0, maxSpan), true; ok; s, ok = s.Next(maxSpan) {
		g.Go(func() error {
			raw := buffers.get(s.Size)
			defer buffers.put(raw)
			if err := store.ReadAt(ctx, s.File.Ref(), raw, s.Off); err != nil {
				return err
			}
			buf, dst := make([]byte, v.PageSize), make([]byte, v.PageSize)
			for p := range s.Pages() {
				at := p.Frame.Off - s.Off
				if err := index.DecodeFrame(raw[at:at+p.Frame.Size], p.Pgno, buf); err != nil {
					return err
				}
				copy(dst, buf)
			}
			return nil
		})
	}
	return g.Wait()
}
