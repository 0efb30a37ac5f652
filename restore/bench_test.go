package restore

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

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/filestore"
)

// synthetic writes a replica of a database of n pages that compress about two to one: a snapshot, and over it files of changes
// that lie together.
func synthetic(t testing.TB, store objstore.Store, n uint32) {
	const pageSize = 4096
	rnd := rand.New(rand.NewPCG(1, 2))
	half := make([]byte, 1<<20) // of a page is a piece of this
	for i := range half {
		half[i] = byte(rnd.Uint32())
	}
	put := func(level int, lo, hi index.TXID, pgnos func(yield func(uint32) bool)) {
		pages := map[uint32][]byte{}
		for pgno := range pgnos {
			page := make([]byte, pageSize)
			copy(page, half[rnd.IntN(len(half)-pageSize/2):][:pageSize/2])
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
	objstore.RangeReader
	delay time.Duration
}

func (s *late) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	if err := sleep(ctx, s.delay); err != nil {
		return err
	}
	return s.RangeReader.ReadAt(ctx, ref, p, off)
}

// BenchmarkFile restores a database of 200 MB, beside what plain parallel GETs of the same bytes take that write as many bytes to a
// file as the database has, flushed to disk as well.
func BenchmarkFile(b *testing.B) {
	const pages = 51_200
	mem := newMem()
	synthetic(b, mem, pages)
	dir, err := filestore.Create(b.TempDir(), filestore.S3Like)
	must(b, err)
	synthetic(b, dir, pages)
	for _, bench := range []struct {
		name  string
		store objstore.Store
		delay time.Duration
	}{{"mem", mem, 5 * time.Millisecond}, {"mem", mem, 25 * time.Millisecond}, {"file", dir, 0}} {
		tr := open(b, bench.store)
		v := tr.View()
		src := bulk.Source{Store: &late{bench.store, bench.delay}, Mover: tr}
		for _, way := range []string{"plain", "restore"} {
			b.Run(fmt.Sprintf("store=%s/delay=%s/way=%s", bench.name, bench.delay, way), func(b *testing.B) {
				b.SetBytes(pages * 4096)
				stop := peakHeap()
				out := b.TempDir()
				for b.Loop() {
					path := filepath.Join(out, "app.db")
					if way == "plain" {
						plain(b, src.Store, v, path)
					} else {
						report, err := File(b.Context(), src, v, path, Options{})
						must(b, err)
						b.ReportMetric(float64(report.Requests), "GETs/op")
						b.ReportMetric(float64(report.Fetched)/float64(occupied(v)), "fetched/newest")
					}
					b.StopTimer()
					must(b, os.Remove(path))
					b.StartTimer()
				}
				b.ReportMetric(float64(stop())/(1<<20), "peakMiB")
			})
		}
	}
}

// plain fetches what the files of v hold of it in parallel ranges, and writes as many bytes as the database has.
func plain(b *testing.B, store objstore.RangeReader, v *index.View, path string) {
	out, err := os.Create(path)
	must(b, err)
	defer out.Close()
	shares, err := bulk.Shares(v, bulk.All(v))
	must(b, err)
	const size = 4 << 20
	type job struct {
		f   *index.File
		off int64
		n   int64
	}
	jobs := make(chan job)
	var at atomic.Int64
	var workers sync.WaitGroup
	stretch := float64(sizeOf(v)) / float64(occupied(v))
	for range 8 {
		workers.Go(func() {
			raw, wide := make([]byte, size), make([]byte, int(size*stretch)+1)
			for j := range jobs {
				if err := store.ReadAt(b.Context(), j.f.Ref(), raw[:j.n], j.off); err != nil {
					b.Error(err)
				}
				n := int64(float64(j.n) * stretch)
				copy(wide[:n], raw[:j.n])
				if _, err := out.WriteAt(wide[:n], at.Add(n)-n); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for _, s := range shares {
		for off, left := int64(ltx.HeaderSize), s.Fetch; left > 0; off, left = off+size, left-size {
			jobs <- job{s.File, off, min(size, left)}
		}
	}
	close(jobs)
	workers.Wait()
	must(b, out.Sync())
}

// peakHeap watches the memory that objects take, and returns how much more it was at its highest than at the beginning.
func peakHeap() (stop func() int64) {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	now := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	begin := now()
	quit, peak := make(chan struct{}), make(chan int64)
	go func() {
		highest := begin
		for {
			select {
			case <-quit:
				peak <- highest
				return
			case <-time.After(time.Millisecond):
				highest = max(highest, now())
			}
		}
	}()
	return func() int64 {
		close(quit)
		return <-peak - begin
	}
}

// C7: memory is bounded whatever the size of the database. It is 70 MiB, of which a part is what the collector has not come to yet: on a busy machine
// that is more.
func TestC7_Memory(t *testing.T) {
	dir, err := filestore.Create(t.TempDir(), filestore.S3Like)
	must(t, err)
	synthetic(t, dir, 51_200) // 200 MB
	tr := open(t, dir)
	stop := peakHeap()
	_, err = File(t.Context(), bulk.Source{Store: dir, Mover: tr}, tr.View(), newTarget(t), Options{})
	peak := stop()
	must(t, err)
	t.Logf("%d MiB at the highest", peak>>20)
	if peak > 140<<20 {
		t.Errorf("restoring 200 MB took %d MiB of memory", peak>>20)
	}
}
