package merge

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/filestore"
	"github.com/litefs-s3/litefs-s3/objstore/httpstore"
)

const bigPage = 4096

// contentsKnown is how many pages differ from each other in a big image. What they hold is of no interest, that they hold something is.
const contentsKnown = 64

var known = sync.OnceValue(func() (all [contentsKnown][]byte) {
	rnd := rand.New(rand.NewPCG(8, 8))
	for i := range all {
		all[i] = make([]byte, bigPage)
		for j := range all[i][:bigPage/2] {
			all[i][j] = byte(rnd.Uint32())
		}
	}
	return all
})

var knownFrames = sync.OnceValue(func() (all [contentsKnown][]byte) {
	for i, page := range known() {
		all[i], _ = index.AppendFrame(nil, 1, page)
	}
	return all
})

// bigContent is page pgno as of some transaction.
func bigContent(pgno uint32, txid index.TXID) []byte {
	return known()[(uint64(pgno)*31+uint64(txid))%contentsKnown]
}

// bigFrame is the frame of bigContent.
func bigFrame(pgno uint32, txid index.TXID) []byte {
	frame := bytes.Clone(knownFrames()[(uint64(pgno)*31+uint64(txid))%contentsKnown])
	binary.BigEndian.PutUint32(frame, pgno)
	return frame
}

// bigStore is a replica in a directory: a snapshot of transaction 1 with pages, and over it files of changed pages here and
// there.
func bigStore(t testing.TB, pages uint32, files int, changed uint32) (objstore.Store, []index.File) {
	t.Helper()
	store, err := filestore.Create(t.TempDir(), filestore.S3Like)
	must(t, err)
	all := []index.File{bigFile(t, store, Target{Level: index.SnapshotLevel, Min: 1, Max: 1, Complete: true}, pages, upTo(pages))}
	rnd := rand.New(rand.NewPCG(7, 7))
	for i := range files {
		all = append(all, bigDelta(t, store, index.TXID(i)+2, pages, changed, rnd))
	}
	return store, all
}

func (t Target) key() string {
	f := t.File()
	return f.Key()
}

// bigDelta stores the level 1 file of one transaction: changed pages, half of them in a row, half anywhere.
func bigDelta(t testing.TB, store objstore.Store, txid index.TXID, pages, changed uint32, rnd *rand.Rand) index.File {
	t.Helper()
	var pgnos []uint32
	next := 1 + rnd.Uint32N(pages/2)
	for left := changed; left > 0 && next <= pages; left-- {
		pgnos = append(pgnos, next)
		next++
		if left <= changed/2 {
			next += rnd.Uint32N(max(1, pages/changed))
		}
	}
	return bigFile(t, store, Target{Level: 1, Min: txid, Max: txid}, pages, pgnos)
}

// bigFile stores a file with the given pages as of the target's last transaction.
func bigFile(t testing.TB, store objstore.Store, to Target, commit uint32, pgnos []uint32) index.File {
	t.Helper()
	h := to.finish(ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: bigPage, Commit: commit, MinTXID: to.Min, MaxTXID: to.Max,
		Timestamp: int64(to.Max) * 1000,
	})
	f, err := write(t.Context(), to, h, Options{TempDir: t.TempDir()}, func(context.Context) (*batch, error) {
		b := newBatch()
		n := min(len(pgnos), 500)
		for _, pgno := range pgnos[:n] {
			b.pages = append(b.pages, page{pgno: pgno})
		}
		pgnos = pgnos[n:]
		if n == 0 {
			return nil, nil
		}
		return b, nil
	}, func(_ context.Context, b *batch) error {
		b.plain = b.plain[:0]
		for i := range b.pages {
			b.plain = append(b.plain, bigContent(b.pages[i].pgno, to.Max)...)
			b.pages[i].frame = bigFrame(b.pages[i].pgno, to.Max)
		}
		return nil
	})
	must(t, err)
	defer f.Close()
	etag, err := store.Put(t.Context(), to.key(), f.Data, objstore.PutOptions{})
	must(t, err)
	file := to.File()
	file.Size, file.ETag = f.Facts.Size, etag
	return file
}

// watchMemory returns a function that ends the watch and returns the most memory that the Go runtime held meanwhile, beyond what it
// held before.
func watchMemory() func() int64 {
	runtime.GC()
	debug.FreeOSMemory()
	before := held()
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		peak := int64(0)
		for {
			peak = max(peak, held())
			select {
			case <-stop:
				done <- peak - before
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-done
	}
}

func held() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

// C7: a database of 200 MB and 700 files over it take less than 256 MiB, and so they would if all of it were larger: what is kept
// are batches and pieces of indexes. It runs alone, before the parallel tests.
func TestC7_Memory(t *testing.T) {
	store, files := bigStore(t, 200<<20/bigPage, 700, 60)
	stop := watchMemory()
	f, err := build(t, store, files, Target{Level: index.SnapshotLevel, Min: 1, Max: files[len(files)-1].Max}, Options{})
	must(t, err)
	_, err = Publish(t.Context(), store, f, Options{})
	peak := stop()
	must(t, err)
	if limit := int64(220 << 20); peak > limit {
		t.Errorf("it took %d MiB", peak>>20)
	}
	t.Logf("%d MiB at most for %d files, %d MB made", peak>>20, len(files), f.Facts.Size/1e6)
}

// impatient serves a store, closes connections on which nothing moves for 200 ms, and counts the answers it had to cut.
func impatient(t *testing.T, store objstore.Store, cut *atomic.Int64) objstore.Store {
	t.Helper()
	const patience = 200 * time.Millisecond
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var from, to int64
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
			http.Error(w, "no range", http.StatusBadRequest)
			return
		}
		data := make([]byte, to-from+1)
		key := strings.TrimPrefix(r.URL.Path, "/")
		part, err := store.ReadPrefix(r.Context(), objstore.Ref{Key: key}, 1)
		if err == nil {
			err = store.ReadAt(r.Context(), objstore.Ref{Key: key}, data, from)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", `"`+part.ETag+`"`)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, part.Size))
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.WriteHeader(http.StatusPartialContent)
		for len(data) > 0 {
			n := min(len(data), 16<<10)
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience))
			if _, err := w.Write(data[:n]); err != nil {
				cut.Add(1)
				return
			}
			data = data[n:]
		}
	}))
	server.Config.IdleTimeout = patience
	server.Start()
	t.Cleanup(server.Close)
	client, err := httpstore.Open(server.URL, httpstore.Options{})
	must(t, err)
	t.Cleanup(client.CloseIdle)
	return objstore.Retry(client, objstore.RetryOptions{FirstDelay: time.Millisecond})
}

// C7: a store that closes connections on which nothing moves for 200 ms, and a disk so slow that the merge takes much longer than
// that: no stream is left waiting while others are read.
func TestC7_IdleConnectionsAreCut(t *testing.T) {
	t.Parallel()
	store, files := bigStore(t, 12_000, 4, 3_000)
	var cut atomic.Int64
	reads := impatient(t, store, &cut)
	slow := Options{OnProgress: func(Progress) { time.Sleep(150 * time.Millisecond) }}
	f, err := build(t, reads, files, Target{Level: index.SnapshotLevel, Min: 1, Max: 5}, slow)
	must(t, err)
	quick, err := build(t, store, files, Target{Level: index.SnapshotLevel, Min: 1, Max: 5}, Options{})
	must(t, err)
	if f.Facts.Checksum != quick.Facts.Checksum {
		t.Error("what comes out is not the same")
	}
	if n := cut.Load(); n > 3 { // none, but for a machine that stands still
		t.Errorf("%d answers were cut", n)
	}
}

// What newer files have superseded is not read: of a database that was written anew as a whole, and then in its first third, two
// thirds of the second file and the third one.
func TestBuild_SkipsWhatIsSuperseded(t *testing.T) {
	t.Parallel()
	const pages = 20_000
	store, files := bigStore(t, pages, 0, 0)
	files = append(files,
		bigFile(t, store, Target{Min: 2, Max: 2}, pages, upTo(pages)),
		bigFile(t, store, Target{Min: 3, Max: 3}, pages, upTo(pages/3)))
	metered := objstore.NewMetrics(store)
	f, err := build(t, metered, files, Target{Level: index.SnapshotLevel, Min: 1, Max: 3}, Options{})
	must(t, err)
	s := metered.Stats()
	if read := float64(s.BytesIn) / float64(f.Facts.Size); read > 1.1 {
		t.Errorf("%d bytes read for a file of %d", s.BytesIn, f.Facts.Size)
	}
	if s.Gets > 40 {
		t.Errorf("%d requests for %d bytes", s.Gets, s.BytesIn)
	}
	if _, pages := contents(t, fileBytes(t, f)); len(pages) != 20_000 {
		t.Errorf("%d pages", len(pages))
	}
}

// BenchmarkBuild merges what a replica has to merge: a thousand single transactions; a snapshot and a day of level 1.
func BenchmarkBuild(b *testing.B) {
	for _, bench := range []struct {
		name    string
		pages   uint32
		files   int
		changed uint32
		whole   bool
	}{
		{"inputs=1000xL0", 100 << 20 / bigPage, 1000, 12, false},
		{"inputs=100MB+2880xL1", 100 << 20 / bigPage, 2880, 100, true},
		{"inputs=1GB+24xL3", 1 << 30 / bigPage, 24, 8000, true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			if os.Getenv("LITEFS_S3_BENCH_LARGE") == "" && bench.pages > 100<<20/bigPage {
				b.Skip("set LITEFS_S3_BENCH_LARGE=1 for a database of 1 GB")
			}
			store, files := bigStore(b, bench.pages, bench.files, bench.changed)
			to := Target{Level: index.SnapshotLevel, Min: 1, Max: files[len(files)-1].Max}
			if !bench.whole {
				files = files[1:]
				to = Target{Level: 1, Min: files[0].Min, Max: to.Max}
			}
			var in int64
			for i := range files {
				in += files[i].Size
			}
			b.SetBytes(in)
			metered := objstore.NewMetrics(store)
			var peak, out int64
			dir := b.TempDir()
			for b.Loop() {
				stop := watchMemory()
				f, err := Build(b.Context(), metered, files, to, Options{TempDir: dir})
				must(b, err)
				_, err = Publish(b.Context(), metered, f, Options{})
				must(b, err)
				peak, out = max(peak, stop()), f.Facts.Size
				must(b, f.Close())
				must(b, store.Delete(b.Context(), to.key()))
			}
			s := metered.Stats()
			b.ReportMetric(float64(s.Requests())/float64(b.N), "requests/op")
			b.ReportMetric(float64(s.BytesIn)/float64(b.N)/float64(in+out), "read/wanted")
			b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
			b.ReportMetric(float64(out)/1e6, "MB-made")
		})
	}
}
