package pages

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

var update = flag.Bool("update", false, "rewrite testdata")

// journal is a transcript: steps, and the GETs that each one caused.
type journal struct {
	*world
	text strings.Builder
	// Of the step under way:
	gets   []get
	waits  int           // reads that took time
	took   time.Duration // by a clock on which a request takes 25 ms and nothing else takes any
	needed int64         // bytes of the frames read
}

// record runs steps on a clock of its own, compares what they caused with testdata/reads/name.txt, and checks that nothing
// was read that is not in a GET.
func record(t *testing.T, name string, r *replica, budget int64, steps func(j *journal)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{world: r.open(t, budget)}
		j.spy.hook(func(ctx context.Context, g get) error {
			// What begins together ends one after the other: else it is chance what the cache loses first.
			return sleep(ctx, 25*time.Millisecond+time.Duration(g.off>>8))
		})
		j.printf("replica\n")
		for _, f := range j.tracker.View().Files() {
			j.printf("  %s of %d bytes\n", f, f.Size)
		}
		if budget < huge {
			j.printf("cache of %d bytes\n", budget)
		}
		steps(j)
		file := filepath.Join("testdata", "reads", name+".txt")
		if *update {
			j.must(os.MkdirAll(filepath.Dir(file), 0o777))
			j.must(os.WriteFile(file, []byte(j.text.String()), 0o666))
		}
		want, err := os.ReadFile(file)
		j.must(err)
		if got := j.text.String(); got != string(want) {
			t.Errorf("%s differs; see with -update what is new. Got:\n%s", file, got)
		}
	})
}

func (j *journal) printf(format string, args ...any) { fmt.Fprintf(&j.text, format, args...) }

// read notes the GETs that reading these pages caused, by the page that was being read when they began. A GET that
// nobody waited for when it began is "ahead".
func (j *journal) read(title string, reader *scanner, pgnos []uint32) {
	j.t.Helper()
	j.gets, j.waits, j.took, j.needed = nil, 0, 0, 0
	j.printf("\n%s\n", title)
	v := j.tracker.View()
	seen := map[uint32]bool{}
	for _, pgno := range pgnos {
		began, requests := time.Now(), reader.requests
		reader.mustRead(v, pgno)
		if took := time.Since(began); took > 0 {
			j.waits++
			j.took += took
			time.Sleep(time.Millisecond) // what began together with it ends together with it
		}
		if reader.requests != requests {
			synctest.Wait() // they are on their way
		}
		p := j.lookup(v, pgno)
		if !seen[pgno] {
			seen[pgno] = true
			j.needed += p.Frame.Size
		}
		gets := j.spy.take()
		for _, g := range gets {
			ahead := ""
			if !g.has(p) {
				ahead = "  ahead"
			}
			j.printf("  page %5d: GET %s %9d +%d%s\n", pgno, g.key, g.off, g.n, ahead)
		}
		j.gets = append(j.gets, gets...)
	}
	j.printf("%d pages of %d bytes: %d GETs of %d bytes, %d waits, %s\n",
		len(seen), j.needed, len(j.gets), sum(j.gets), j.waits, j.took.Round(time.Millisecond))
}

// R7: a scan.
func TestReads_Scan(t *testing.T) {
	t.Parallel()
	record(t, "cold_scan", large(), huge, func(j *journal) {
		v := j.tracker.View()
		reader := j.reader()
		j.read("scan all", reader, span(1, v.Commit))
		if n, most := int64(len(j.gets)), sum(j.gets)>>19; n > most {
			t.Errorf("%d GETs, more than one for each 512 KiB, which are %d", n, most)
		}
		if got := sum(j.gets); got > j.needed*11/10 {
			t.Errorf("%d bytes fetched of %d needed", got, j.needed)
		}
		j.read("scan all again", reader, span(1, v.Commit))
		if n := len(j.gets); n != 0 {
			t.Errorf("%d GETs with everything in the cache", n)
		}
		j.read("scan all again by another connection", j.world.reader(), span(1, v.Commit))
		if n := len(j.gets); n != 0 {
			t.Errorf("%d GETs with everything in the cache", n)
		}
	})
	record(t, "cold_scan_backwards", large(), huge, func(j *journal) {
		v := j.tracker.View()
		j.read("scan all backwards", j.world.reader(), span(v.Commit, 1))
		if n, most := int64(len(j.gets)), sum(j.gets)>>19; n > most {
			t.Errorf("%d GETs, more than one for each 512 KiB, which are %d", n, most)
		}
		if got := sum(j.gets); got > j.needed*11/10 {
			t.Errorf("%d bytes fetched of %d needed", got, j.needed)
		}
	})
	record(t, "scan_with_half_the_cache", large(), 5000*entrySize, func(j *journal) {
		v := j.tracker.View()
		reader := j.reader()
		for _, title := range []string{"scan all", "scan all again", "scan all backwards"} {
			pgnos := span(1, v.Commit)
			if title == "scan all backwards" {
				slices.Reverse(pgnos)
			}
			j.read(title, reader, pgnos)
			if n, most := int64(len(j.gets)), j.needed>>19; n > most {
				t.Errorf("%s: %d GETs, more than one for each 512 KiB, which are %d", title, n, most)
			}
			if got := sum(j.gets); got > j.needed*11/10 {
				t.Errorf("%s: %d bytes fetched of %d needed", title, got, j.needed)
			}
		}
	})
	record(t, "scan_with_a_small_cache", large(), 100*entrySize, func(j *journal) {
		j.read("scan some", j.reader(), span(1, 2000))
		if got := sum(j.gets); got > j.needed*11/10 {
			t.Errorf("%d bytes fetched of %d needed", got, j.needed)
		}
	})
}

// TestReads_ScanInParallel compares a cold scan with plain range GETs side by side, on a clock on which nothing takes time but
// requests. Which goroutine runs first changes the figures a little, so what it wants is half of what they are.
func TestReads_ScanInParallel(t *testing.T) {
	t.Parallel()
	g := newGiant(40_000, longFrame) // 160 MB
	type link struct {
		link  int64   // MB/s; 0 is without limit
		share float64 // of the speed of 16 plain requests
	}
	links := []link{{125, 0.45}, {250, 0.4}, {500, 0.35}, {0, 0.12}}
	if testing.Short() {
		links = links[:1]
	}
	for _, c := range links {
		synctest.Test(t, func(t *testing.T) {
			store := slow(g, 25*time.Millisecond, c.link)
			tracker, err := index.Open(t.Context(), store, index.Options{})
			if err != nil {
				t.Fatal(err)
			}
			v := tracker.View()
			began := time.Now()
			if err := plain(t.Context(), store, v, 16); err != nil {
				t.Fatal(err)
			}
			best := time.Since(began)
			source := NewSource(store, tracker, NewCache(64<<20))
			defer source.Close()
			r := source.NewReader()
			defer r.Close()
			buf := make([]byte, v.PageSize)
			began = time.Now()
			for pgno := uint32(1); pgno <= v.Commit; pgno++ {
				if err := r.ReadPage(t.Context(), v, pgno, buf); err != nil {
					t.Fatal(err)
				}
			}
			took := time.Since(began)
			share := float64(best) / float64(took)
			t.Logf("link of %d MB/s: plain %s, scan %s: %.0f %%", c.link, best, took, 100*share)
			if share < c.share {
				t.Errorf("link of %d MB/s: scan takes %s, plain GETs %s", c.link, took, best)
			}
		})
	}
}

// TestReads_HotCache scans while the cache is full of what others use: they keep it, and the scan gets through.
func TestReads_HotCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := large().open(t, 3000*entrySize)
		w.spy.delay(25 * time.Millisecond)
		v := w.tracker.View()
		hot := span(7001, 8000)
		others, scan := w.reader(), w.reader()
		for range 4 {
			others.mustRead(v, hot...)
		}
		synctest.Wait()
		w.spy.take()
		before := others.misses.Load()
		rng := rand.New(rand.NewPCG(1, 1))
		for pgno := uint32(1); pgno <= 6000; pgno++ {
			scan.mustRead(v, pgno)
			others.mustRead(v, hot[rng.IntN(len(hot))])
			synctest.Wait()
		}
		// A cache that drops what was not read for longest misses every fifth time.
		if n := others.misses.Load() - before; n > 500 {
			t.Errorf("%d of 6000 reads of pages in use missed", n)
		}
		if gets := w.spy.take(); len(gets) > 600 || sum(gets) > 50<<20 {
			t.Errorf("%d GETs of %d bytes", len(gets), sum(gets))
		}
	})
}

// TestReads_ThreeScansOneCache has three scans with a cache that is not much more than what they read ahead.
func TestReads_ThreeScansOneCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := large().open(t, 2000*entrySize)
		w.spy.delay(25 * time.Millisecond)
		v := w.tracker.View()
		a, b, c := w.reader(), w.reader(), w.reader()
		var needed int64
		for pgno := uint32(1); pgno <= 3000; pgno++ {
			for i, r := range []*scanner{a, b, c} {
				at := pgno + uint32(i)*3500
				r.mustRead(v, min(at, v.Commit))
				needed += w.lookup(v, min(at, v.Commit)).Frame.Size
			}
			synctest.Wait()
		}
		gets := w.spy.take()
		if got := sum(gets); got > 2*needed || int64(len(gets)) > 3*needed>>18 {
			t.Errorf("%d GETs of %d bytes, %d needed", len(gets), got, needed)
		}
	})
}

func TestReads_Points(t *testing.T) {
	t.Parallel()
	record(t, "cold_point_read", large(), huge, func(j *journal) {
		reader := j.reader()
		j.read("read one page", reader, []uint32{5000})
		if got := sum(j.gets); len(j.gets) != 1 || got > 80<<10 {
			t.Errorf("%d GETs of %d bytes for one page", len(j.gets), got)
		}
		j.read("read it again, and one beside it", reader, []uint32{5000, 5001})
		if len(j.gets) != 0 {
			t.Errorf("%d GETs", len(j.gets))
		}
		j.read("look up three rows: root, interior page, leaf", reader, []uint32{2, 300, 7000, 2, 300, 8000, 2, 9000, 3000})
		rng := rand.New(rand.NewPCG(1, 1))
		var pgnos []uint32
		for range 200 {
			pgnos = append(pgnos, 1+rng.Uint32N(10_000))
		}
		before := j.text.Len()
		j.read("read 200 random pages", reader, pgnos)
		cut := j.text.String()[:before] // too long to read
		last := j.text.String()[strings.LastIndex(strings.TrimSpace(j.text.String()), "\n")+1:]
		j.text.Reset()
		j.printf("%s\nread 200 random pages\n%s", cut, last)
		if got := sum(j.gets) / 200; got > 100<<10 {
			t.Errorf("%d bytes fetched for each random page", got)
		}
	})
	record(t, "short_scans", large(), huge, func(j *journal) {
		for i, n := range []uint32{10, 30, 100, 300, 1000} {
			first := 500 + uint32(i)*1700
			j.read(fmt.Sprintf("scan %d pages", n), j.reader(), span(first, first+n-1))
			if got := sum(j.gets); got > 4*j.needed+firstWindow {
				t.Errorf("%d bytes fetched of %d needed for a scan of %d pages", got, j.needed, n)
			}
		}
	})
}

// TestReads_PointsAfterScan reads at random where a scan has been left half way: that does not keep the scan going.
func TestReads_PointsAfterScan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := large().open(t, 4000*entrySize)
		w.spy.delay(25 * time.Millisecond)
		v := w.tracker.View()
		reader := w.reader()
		reader.mustRead(v, span(1, 3000)...)
		w.source.wg.Wait()
		w.spy.take()
		rng := rand.New(rand.NewPCG(1, 1))
		for range 500 {
			reader.mustRead(v, 1+rng.Uint32N(v.Commit))
		}
		w.source.wg.Wait()
		if got := sum(w.spy.take()) / 500; got > 100<<10 {
			t.Errorf("%d bytes fetched for each random page", got)
		}
	})
}

// join is what SQLite reads when it goes through an index and looks each row up: leaves of the index in order, rows
// of the table elsewhere, and now and then an interior page of both.
func join(leaves, rows []uint32, each int) []uint32 {
	var pgnos []uint32
	for i, leaf := range leaves {
		pgnos = append(pgnos, leaf)
		for k := range each {
			if k%8 == 0 {
				pgnos = append(pgnos, 100*(rows[(i*each+k)%len(rows)]/100))
			}
			pgnos = append(pgnos, rows[(i*each+k)%len(rows)])
		}
	}
	return slices.DeleteFunc(pgnos, func(pgno uint32) bool { return pgno == 0 })
}

func TestReads_Join(t *testing.T) {
	t.Parallel()
	record(t, "join_in_order", large(), huge, func(j *journal) {
		// An index of 300 leaves, and a table of 3000 whose rows lie in the order of the index.
		j.read("join", j.reader(), join(span(9000, 9300), span(2001, 5010), 10))
		if got := sum(j.gets); got > 4*j.needed {
			t.Errorf("%d bytes fetched of %d needed", got, j.needed)
		}
	})
	record(t, "join_at_random", large(), huge, func(j *journal) {
		rng := rand.New(rand.NewPCG(1, 1))
		rows := make([]uint32, 600)
		for i := range rows {
			rows[i] = 1000 + rng.Uint32N(7000)
		}
		reader := j.reader()
		before := j.text.Len()
		j.read("join", reader, join(span(9000, 9059), rows, 10))
		// The index is scanned ahead although the other side misses all the time.
		waits := 0
		for _, line := range strings.Split(j.text.String()[before:], "\n") {
			var pgno uint32
			if _, err := fmt.Sscanf(line, "  page %d:", &pgno); err == nil && pgno >= 9000 && !strings.Contains(line, "ahead") {
				waits++
			}
		}
		if waits > 3 {
			t.Errorf("scan of the index waited %d times", waits)
		}
	})
}

// TestReads_ManyFiles scans a table whose pages lie in several large files, mixed.
func TestReads_ManyFiles(t *testing.T) {
	t.Parallel()
	r := newReplica(4096)
	r.commit(4500)
	rng := rand.New(rand.NewPCG(4, 4))
	for range 3 {
		var pgnos []uint32
		for range 1200 {
			pgnos = append(pgnos, 1+rng.Uint32N(4500))
		}
		r.commit(4500, pgnos...)
	}
	record(t, "scan_of_many_files", r, huge, func(j *journal) {
		j.read("scan all", j.reader(), span(1, 4500))
		if n, most := int64(len(j.gets)), 2*(sum(j.gets)>>19); n > most {
			t.Errorf("%d GETs, more than two for each 512 KiB, which are %d", n, most)
		}
		var total int64
		for _, f := range j.tracker.View().Files() {
			total += f.Size
		}
		if got := sum(j.gets); got > total*11/10 {
			t.Errorf("%d bytes fetched of %d in all files", got, total)
		}
	})
	record(t, "scan_of_a_table_written_anew", func() *replica {
		r := newReplica(4096)
		r.commit(4000)
		r.commit(4000, span(1000, 3000)...) // nothing of these is needed from the first file
		return r
	}(), huge, func(j *journal) {
		j.read("scan all", j.reader(), span(1, 4000))
		if got := sum(j.gets); got > j.needed*12/10 {
			t.Errorf("%d bytes fetched of %d needed", got, j.needed)
		}
	})
}

// TestReads_NoReadAhead turns it off.
func TestReads_NoReadAhead(t *testing.T) {
	t.Parallel()
	w := large().open(t, huge)
	w.source.SetMaxAhead(0)
	v := w.tracker.View()
	w.reader().mustRead(v, span(1, 100)...)
	gets := w.spy.take()
	for _, g := range gets {
		if p := w.lookup(v, 1); g.n > 4*p.Frame.Size {
			t.Errorf("GET of %d bytes", g.n)
		}
	}
	if len(gets) != 100 {
		t.Errorf("%d GETs for 100 pages", len(gets))
	}
}
