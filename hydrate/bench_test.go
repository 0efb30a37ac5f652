package hydrate

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/internal/holes"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// synthetic writes a replica of a database of n pages that compress about two to one: a snapshot, and over it files of changes
// that lie together.
func synthetic(t testing.TB, store objstore.Store, n uint32) {
	const pageSize = 4096
	rnd := rand.New(rand.NewPCG(1, 2))
	put := func(level int, lo, hi index.TXID, pgnos func(yield func(uint32) bool)) {
		pages := map[uint32][]byte{}
		for pgno := range pgnos {
			page := make([]byte, pageSize)
			for i := 0; i < pageSize/2; i += 8 {
				v := rnd.Uint64()
				for k := range 8 {
					page[i+k] = byte(v >> (8 * k))
				}
			}
			pages[pgno] = page
		}
		b, err := primary.Encode(ltx.Header{
			Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: pageSize, Commit: n, MinTXID: lo, MaxTXID: hi,
			Timestamp: int64(hi), WALOffset: 32,
		}, pages)
		must(t, err)
		f := index.File{Level: level, Min: lo, Max: hi}
		_, err = store.Put(context.Background(), f.Key(), bytes.NewReader(b), objstore.PutOptions{})
		must(t, err)
	}
	put(index.SnapshotLevel, 1, 100, func(yield func(uint32) bool) {
		for pgno := uint32(1); pgno <= n && yield(pgno); pgno++ {
		}
	})
	for i := range index.TXID(10) {
		put(1, 101+10*i, 110+10*i, func(yield func(uint32) bool) {
			for first, pgno := uint32(i)*n/10, uint32(1); pgno <= n/50 && yield(first+pgno); pgno++ {
			}
		})
	}
}

// late is a store whose answers take their time.
type late struct {
	objstore.Store
	delay time.Duration
	gets  atomic.Int64
	bytes atomic.Int64
}

func (s *late) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	s.gets.Add(1)
	s.bytes.Add(int64(len(p)))
	if err := sleep(ctx, s.delay); err != nil {
		return err
	}
	return s.Store.ReadAt(ctx, ref, p, off)
}

// BenchmarkHydrate fills a copy of a database of 100 MB, beside what plain parallel GETs of the same bytes take that write as many bytes
// to a file as there are in the bucket (plain), or as the database has (plain-full).
func BenchmarkHydrate(b *testing.B) {
	mem := new(memstore.Store)
	const pages = 25_600
	synthetic(b, mem, pages)
	for _, delay := range []time.Duration{0, 25 * time.Millisecond} {
		for _, source := range []string{"plain", "plain-full", "hydrate"} {
			b.Run(fmt.Sprintf("source=%s/delay=%s", source, delay), func(b *testing.B) {
				store := &late{Store: mem, delay: delay}
				f := follow(b, mem)
				v := f.View()
				wanted := occupied(v)
				b.SetBytes(pages * 4096)
				dir := b.TempDir()
				stop := watchMemory(b)
				for b.Loop() {
					path := filepath.Join(dir, "copy.db")
					switch source {
					case "plain":
						plain(b, store, v, path, 1)
					case "plain-full":
						plain(b, store, v, path, float64(pages*4096)/float64(wanted))
					default:
						c, err := Open(context.Background(), store, "bench", v, f, Options{Path: path})
						must(b, err)
						go c.Run(context.Background())
						wait(b, c)
						b.StopTimer()
						must(b, c.Close())
						must(b, os.Remove(path+stateSuffix))
						b.StartTimer()
					}
					b.StopTimer()
					must(b, os.Remove(path))
					runtime.GC() // each begins with the memory of a process that has not hydrated anything
					b.StartTimer()
				}
				stop()
				b.ReportMetric(float64(store.gets.Load())/float64(b.N), "GETs/op")
				b.ReportMetric(float64(store.bytes.Load())/float64(b.N)/float64(wanted), "bytes/wanted")
			})
		}
	}
}

// plain fetches what the files of v hold of it in parallel ranges, as large and as many as the walk's, and writes stretch bytes
// for each one.
func plain(b *testing.B, store objstore.RangeReader, v *index.View, path string, stretch float64) {
	out, err := os.Create(path)
	must(b, err)
	defer out.Close()
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range streams {
		workers.Go(func() {
			var raw, wide []byte
			for j := range jobs {
				if int64(len(raw)) < j.size {
					raw = make([]byte, j.size)
					wide = make([]byte, int64(float64(j.size)*stretch))
				}
				if err := store.ReadAt(context.Background(), j.file().Ref(), raw[:j.size], j.off()); err != nil {
					b.Error(err)
				}
				data := raw[:j.size]
				if stretch > 1 {
					data = wide[:int64(float64(j.size)*stretch)]
				}
				if _, err := out.WriteAt(data, pageOffset(j.first.Pgno, v.PageSize)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all := newBitmap(0).missing(v.Commit)
	const size = inFlight / streams
	for j := range plan(v, all, holes.Max, func() int64 { return size }, func(uint32) {}) {
		jobs <- j
	}
	close(jobs)
	workers.Wait()
}

// watchMemory reports how much memory was used at most beyond what was used before.
func watchMemory(b *testing.B) (stop func()) {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	used := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64() + sample[1].Value.Uint64()
	}
	before, most := used(), uint64(0)
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			most = max(most, used())
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	return func() {
		close(done)
		watcher.Wait()
		b.ReportMetric(float64(max(most, before)-before)/(1<<20), "peak-MiB")
	}
}

// BenchmarkReadPage reads pages of a copy that is complete.
func BenchmarkReadPage(b *testing.B) {
	for _, source := range []string{"file", "copy", "copy-old-view"} {
		b.Run("source="+source+"/page=4096", func(b *testing.B) {
			r := newReplica(b, 20_000)
			old := r.View()
			c := r.open(Options{Path: filepath.Join(b.TempDir(), "copy.db")})
			wait(b, c)
			r.commit(10)
			v := r.poll(b)
			arrive(b, c, v.TXID)
			wait(b, c)
			if source == "copy-old-view" {
				v = old
			}
			page := make([]byte, v.PageSize)
			pgno := uint32(0)
			for b.Loop() {
				pgno = pgno%v.Commit + 1
				if source == "file" {
					_, _ = c.place.file.ReadAt(page, pageOffset(pgno, v.PageSize))
					continue
				}
				version, _ := v.Version(pgno)
				c.ReadPage(v, pgno, version, page)
			}
		})
	}
}
