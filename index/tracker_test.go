package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// put stores files of the given names with no content that anybody reads.
func putNames(t *testing.T, names string) *memstore.Store {
	t.Helper()
	store := new(memstore.Store)
	for _, f := range files(names) {
		if _, err := store.Put(t.Context(), f.Key(), bytes.NewReader(nil), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// A listing moves the head to merged files before the ones it reads from are asked for in vain, a long listing too.
func TestRefresh_MovesHead(t *testing.T) {
	t.Parallel()
	for _, perPage := range []int{1000, 2, 1} {
		m := newTestModel(t)
		m.store.PageSize = perPage
		m.commit(20)
		for range 20 {
			m.commit(20, 2)
		}
		m.compact(1, 10)
		m.compact(2, 1)
		tr := mustOpen(t, m.store)
		m.compact(1, 11)
		for _, f := range m.files(0) {
			m.remove(f)
		}
		v := mustRefresh(t, tr)
		for _, f := range v.Files() {
			if f.Level == 0 {
				t.Errorf("pages of %d: still reads from %s", perPage, f)
			}
		}
		if err := newWitness(m.store, m).view(t.Context(), v, nil); err != nil {
			t.Error(err)
		}
	}
}

// A chain that has grown very long gives way to merged files although its own are still there.
func TestRefresh_ShortensChain(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(20)
	tr := mustOpen(t, m.store)
	for range maxSegments {
		m.commit(20, 2, 3)
		mustPoll(t, tr)
	}
	before := version(t, tr.View(), 20)
	m.merge(1, m.files(0)...)
	m.commit(20, 3)
	v := mustPoll(t, tr)
	mustRefresh(t, tr)
	if n := len(tr.View().Files()); n > 2 || tr.View() != v {
		t.Errorf("reads from %d files", n)
	}
	if got := version(t, v, 20); got != before {
		t.Errorf("version %s became %s", before, got)
	}
	agree(t, newWitness(m.store, m), tr, v)
}

// A chain that nobody shortens is not read again: what lists finds the files that it has and those that came since. Each transaction of a
// small database holds all of its pages, so that the View forgets the files below.
func TestRefresh_LongChainIsNotReadAgain(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	for range 2 * maxSegments {
		m.commit(2, 1, 2)
	}
	m.commit(20)
	counts := objstore.NewMetrics(m.store)
	tr := mustOpen(t, counts)
	for range 2 * maxSegments {
		m.commit(20, 3)
		mustPoll(t, tr)
	}
	before := counts.Stats().Gets
	for range 5 {
		runtime.GC() // page tables that no View uses are gone
		m.commit(20, 4, 5)
		m.commit(20, 5)
		mustRefresh(t, tr) // finds two files beyond the head
		mustRefresh(t, tr) // finds the head, on a long chain
	}
	if n := counts.Stats().Gets - before; n > 10 {
		t.Errorf("%d GETs for 10 files", n)
	}
	agree(t, newWitness(m.store, m), tr, tr.View())
}

// Whatever the size of a page of results, listing everything finds everything, and listing for the head finds what the
// newest plan needs.
func TestCatalog_Pages(t *testing.T) {
	t.Parallel()
	seeds := uint64(60)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		m := newModel(new(memstore.Store), seed, 1, 512, func(err error) { t.Fatal(err) })
		for range 150 {
			switch k := m.rng.IntN(20); {
			case k < 12:
				m.transaction()
			case k < 15:
				m.compact(1, 1+m.rng.IntN(6))
			case k < 16:
				m.compact(2, 1+m.rng.IntN(4))
			case k < 17:
				m.compact(3, 1+m.rng.IntN(3))
			case k < 18 && m.head().txid > 0:
				m.snapshot()
			case k < 19:
				m.expireL0(0) // what a listing does not show cannot be seen at level 0 any more
			default:
				m.expireAll(0)
			}
		}
		m.merge(1, m.files(0)...) // one that straddles whatever snapshot comes next
		for _, f := range m.files(0) {
			m.remove(f)
		}
		var all []File
		for level := range MaxLevel + 1 {
			all = append(all, m.files(level)...)
		}
		for _, size := range []int{1, 2, 3, 5, 10, 50, 1000} {
			m.store.PageSize = size
			c, err := ListAll(t.Context(), m.store)
			if err != nil || !slices.Equal(c.Files, all) || !c.Complete {
				t.Fatalf("seed %d, pages of %d: %d files, want %d; %v", seed, size, len(c.Files), len(all), err)
			}
			c, err = ListHead(t.Context(), m.store)
			if err != nil || c.Complete != (len(all) <= size) {
				t.Fatalf("seed %d, pages of %d: complete %v, %v", seed, size, c.Complete, err)
			}
			if got, want := newPlanner(c.Files, nil).head(), newPlanner(all, nil).head(); got != want || c.Max() != want {
				t.Fatalf("seed %d, pages of %d: head %s, want %s", seed, size, got, want)
			}
			if err := newPlanner(c.Files, nil).gap(c.Files); err != nil {
				t.Fatalf("seed %d, pages of %d: %v", seed, size, err)
			}
		}
	}
}

// A merged file begins inside what the newest snapshot covers, and nothing else holds what it ends with.
func TestListHead_StraddlingFile(t *testing.T) {
	t.Parallel()
	store := putNames(t, "9:1-105 3:1-60 2:61-90 1:61-70 1:71-80 1:81-90 1:91-100 1:101-130")
	for size := 1; size < 10; size++ {
		store.PageSize = size
		c, err := ListHead(t.Context(), store)
		if err != nil || c.Max() != 130 {
			t.Errorf("pages of %d: ends with %d, want 130; %v", size, c.Max(), err)
		}
	}
}

// What a first page of results leaves out is asked for level by level, side by side.
func TestListHead_Requests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var names strings.Builder
		names.WriteString("9:1-5000 3:1-3000 3:3001-4900 2:4901-4950 2:4951-4990")
		for i := 1; i <= 4990; i += 5 {
			fmt.Fprintf(&names, " 1:%d-%d", i, i+4)
		}
		for i := 4000; i <= 5004; i++ {
			fmt.Fprintf(&names, " 0:%d-%d", i, i)
		}
		counts := objstore.NewMetrics(putNames(t, names.String()))
		begin := time.Now()
		c, err := ListHead(t.Context(), slow(counts, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if head := newPlanner(c.Files, nil).head(); head != 5004 {
			t.Errorf("head %d", head)
		}
		if got := counts.Stats(); time.Since(begin) > 3*time.Second || got.Lists > 11 {
			t.Errorf("%d listings in %v", got.Lists, time.Since(begin))
		}
	})
}

func TestOpen_NoReplica(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, want string
		keys       []string
	}{
		{"empty", "nothing is stored under the prefix", nil},
		{"v0.3", "Litestream v0.3", []string{"generations/0123456789abcdef/snapshots/00000000.snapshot.lz4"}},
		{"one too high", `"app/db" below it`, []string{"app/db/0000/0000000000000001-0000000000000001.ltx"}},
		{"bucket root", `"." below it`, []string{"./0000/0000000000000001-0000000000000001.ltx"}},
		{"something else", "other objects", []string{"index.html"}},
		{"other names", "other objects", []string{"0000/1-1.ltx", "ltx/0/0000000000000001-0000000000000001.txt"}},
	} {
		store := new(listOnly)
		for _, key := range test.keys {
			store.page.Objects = append(store.page.Objects, objstore.Info{Key: key})
		}
		_, err := Open(t.Context(), store, Options{})
		if !errors.Is(err, ErrNoReplica) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	if _, err := Open(t.Context(), &listOnly{page: objstore.Page{More: true}}, Options{}); !errors.Is(err, ErrNoReplica) {
		t.Errorf("a page that is empty and says there is more: got %v", err)
	}
}

// listOnly is a store that answers every listing with one page.
type listOnly struct {
	Reader
	page objstore.Page
}

func (s *listOnly) List(context.Context, string, string) (objstore.Page, error) { return s.page, nil }

// A gap that stays is reported by each poll, costs one listing a poll, and ends as soon as a snapshot covers it.
func TestGap_ReportedAndCheap(t *testing.T) {
	t.Parallel()
	for _, opened := range []string{"before", "after"} {
		t.Run("opened "+opened, func(t *testing.T) {
			m := newTestModel(t)
			m.commit(9)
			m.commit(9, 2)
			counts := objstore.NewMetrics(m.store)
			var tr *Tracker
			if opened == "before" {
				tr = mustOpen(t, counts)
			}
			m.commit(9, 3)
			m.remove(m.files(0)[2])
			for range 5 {
				m.commit(9, 4)
			}
			if opened == "after" {
				tr = mustOpen(t, counts)
				if !errors.Is(tr.State().Err, ErrGap) || tr.State().Known != 8 {
					t.Errorf("after opening: %+v", tr.State())
				}
			} else {
				mustPoll(t, tr) // the next file is not there
				if err := tr.Refresh(t.Context()); !errors.Is(err, ErrGap) {
					t.Errorf("refresh: %v", err)
				}
			}
			w := newWitness(m.store, m)
			for range 5 {
				before := counts.Stats()
				err := tr.Poll(t.Context())
				var gap *GapError
				if !errors.As(err, &gap) || gap.After != 2 || gap.Next != 4 || !errors.Is(tr.State().Err, ErrGap) || tr.State().Known != 8 {
					t.Fatalf("poll: %v, %+v", err, tr.State())
				}
				if got := counts.Stats().Sub(before); got.Requests() > 1 {
					t.Errorf("a poll before a gap that is known: %d requests", got.Requests())
				}
				agree(t, w, tr, tr.View())
			}
			if tl, err := tr.Timeline(t.Context()); err != nil || !errors.Is(tl.Gap(), ErrGap) || len(tl.TXIDs()) != 2 {
				t.Errorf("timeline: %v", err)
			}
			m.snapshot()
			if v := mustPoll(t, tr); v.TXID != 8 || tr.State().Err != nil {
				t.Errorf("after a snapshot: at %s, %+v", v.TXID, tr.State())
			}
			agree(t, w, tr, tr.View())
		})
	}
	t.Run("nothing to start from", func(t *testing.T) {
		if _, err := Open(t.Context(), putNames(t, "0:5-5 1:2-4"), Options{}); !errors.Is(err, ErrGap) {
			t.Errorf("got %v", err)
		}
	})
}

// A store whose listings lag behind never makes the head go back, nor the replica look replaced.
func TestLateListing(t *testing.T) {
	t.Parallel()
	seeds := uint64(40)
	if testing.Short() || raceEnabled {
		seeds = 6
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(new(memstore.Store), seed, 1, 512, func(err error) { t.Fatal(err) })
			store := faultstore.ListLate(m.store, 90*time.Second)
			m.to = store
			m.commit(20)
			time.Sleep(2 * time.Minute)
			tr := mustOpen(t, store)
			w := newWitness(m.store, m)
			for range 300 {
				switch k := m.rng.IntN(12); {
				case k < 8:
					m.transaction()
				case k < 9:
					m.compact(1, 20)
				case k < 10:
					m.expireL0(5 * time.Minute)
				case k < 11:
					m.snapshot()
				default:
					time.Sleep(time.Duration(m.rng.IntN(14)) * time.Second)
				}
				time.Sleep(time.Second)
				mustPoll(t, tr) // this one may be a listing, which shows less
				if v := mustPoll(t, tr); v.TXID != m.head().txid || v.History != 0 {
					t.Fatalf("seed %d: at %s of history %d, want %s", seed, v.TXID, v.History, m.head().txid)
				}
				if m.rng.IntN(10) == 0 {
					agree(t, w, tr, tr.View())
				}
			}
		})
	}
}

// The clock is put back: listings do not stop. The machine sleeps: the next poll lists.
func TestListingDue(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(3)
	tr := mustOpen(t, m.store)
	now := time.Now()
	wall := now.Round(0) // without the monotonic reading, as after a sleep that it does not count
	for _, test := range []struct {
		name           string
		listed, polled time.Time
		behind         TXID
		want           bool
	}{
		{"just now", now, now, 0, false},
		{"a minute ago, idle", now.Add(-time.Minute), now, 0, false},
		{"a minute ago, busy", now.Add(-time.Minute), now, 1, true},
		{"five minutes ago", now.Add(-5 * time.Minute), now, 0, true},
		{"no poll for a while", now, now.Add(-pollGap), 0, true},
		{"polls nearly in time", now, now.Add(-pollGap + time.Second), 0, false},
		{"slept", wall.Add(-time.Hour), wall.Add(-time.Hour), 0, true},
	} {
		tr.listed, tr.polled, tr.listedTXID = test.listed, test.polled, tr.View().TXID-test.behind
		if got := tr.listingDue(now); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	tr.SetPollInterval(time.Minute)
	tr.listed, tr.polled = now, now.Add(-3*time.Minute)
	if tr.listingDue(now) {
		t.Error("polls a minute apart: a listing each time")
	}
}

// A process that slept for hours knows its replica by files that outlive those of its View.
func TestLandmarks_OutliveAView(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.ours = true
	m.commit(9)
	tr := mustOpen(t, m.store)
	for range 6 {
		m.commit(9, 3)
	}
	m.compact(1, 4)
	m.commit(9, m.all(9)...) // all pages again: the View needs nothing else
	v := mustRefresh(t, tr)
	if files := v.Files(); len(files) != 1 || files[0].Level != 0 {
		t.Fatalf("the View reads from %v", files)
	}
	for range 9 {
		m.commit(9, 4)
	}
	m.compact(1, 50)
	m.expireL0(0)
	w := newWitness(m.store, m)
	agree(t, w, tr, mustRefresh(t, tr))
	if now := tr.View(); now.TXID != 17 || now.History != 0 {
		t.Errorf("at %s of history %d", now.TXID, now.History)
	}
	if err := tr.Rehome(t.Context(), v, v.Files()[0]); !errors.Is(err, ErrViewExpired) || errors.Is(err, ErrHistoryChanged) {
		t.Errorf("rehome: %v", err)
	}
}

// noETags is a store that has none.
type noETags struct{ Reader }

func (s noETags) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	page, err := s.Reader.List(ctx, prefix, startAfter)
	for i := range page.Objects {
		page.Objects[i].ETag = ""
	}
	return page, err
}

func (s noETags) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	part, err := s.Reader.ReadPrefix(ctx, ref, n)
	part.ETag = ""
	return part, err
}

// Without ETags too the file of another history is not laid over a View: the last file's header is another one.
func TestNoETags(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := newTestModel(t), newModel(new(memstore.Store), 2, 2, 512, func(err error) { t.Fatal(err) })
		a.ours, b.ours = true, true
		a.commit(9)
		a.commit(9, 1)
		w := newWitness(a.store, a, b)
		tr := mustOpen(t, noETags{a.store})
		agree(t, w, tr, tr.View())
		a.commit(9, 1)
		agree(t, w, tr, mustPoll(t, tr))
		time.Sleep(time.Second)
		a.wipe()
		b.to, b.store = a.store, a.store
		for range 5 {
			b.commit(9, 1, 2)
		}
		agree(t, w, tr, mustPoll(t, tr))
		if v := tr.View(); v.TXID != 5 || v.History != 1 {
			t.Errorf("at %s of history %d", v.TXID, v.History)
		}
	})
}

// A plan of thousands of files is loaded a bounded number at a time, and a bounded part of what comes along is kept.
func TestLoad_ManyFiles(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.pageSize = 65536
	m.commit(3)
	n := 600
	if testing.Short() || raceEnabled {
		n = 300
	}
	for m.head().txid < TXID(n) {
		m.commit(3, 1, 2, 3)
		m.commit(4, 2, 3)
		m.commit(3, 2, 3)
	}
	var now, most, total atomic.Int64
	_, err := Open(t.Context(), counting{m.store, &now, &most}, Options{OnLoad: func(v *View, blobs []Blob) {
		for i, b := range blobs {
			total.Add(int64(len(b.Data)))
			if i > 0 && b.File.Max > blobs[i-1].File.Max {
				t.Errorf("%s after %s", b.File, blobs[i-1].File)
			}
		}
		if blobs[0].File.Max != v.TXID {
			t.Errorf("the newest came not first but %s", blobs[0].File)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if most.Load() > loadsAhead || total.Load() > maxBlobs {
		t.Errorf("%d at once, %d MiB kept", most.Load(), total.Load()>>20)
	}
}

// counting counts the reads under way.
type counting struct {
	Reader
	now, most *atomic.Int64
}

func (c counting) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	if n := c.now.Add(1); n > c.most.Load() {
		c.most.Store(n)
	}
	defer c.now.Add(-1)
	runtime.Gosched()
	return c.Reader.ReadAt(ctx, ref, p, off)
}

// A store that hangs: every call ends with its context, says so, and leaves no request under way (synctest would tell).
// That a caller gave up says nothing about the replica.
func TestHangingStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTestModel(t)
		m.commit(2000) // two requests side by side
		for range 20 {
			m.commit(2000, 7)
		}
		var hang atomic.Bool
		var after atomic.Int64 // calls that still pass
		store := faultstore.Wrap(m.store, func(context.Context, faultstore.Call) faultstore.Action {
			if hang.Load() && after.Add(-1) < 0 {
				return faultstore.Action{Mode: faultstore.Hang}
			}
			return faultstore.Action{}
		})
		tr := mustOpen(t, store)
		v, state := tr.View(), tr.State()
		m.commit(2000, 9)
		for name, call := range map[string]func(context.Context) error{
			"open":     func(ctx context.Context) error { _, err := Open(ctx, store, Options{}); return err },
			"poll":     tr.Poll,
			"refresh":  tr.Refresh,
			"rehome":   func(ctx context.Context) error { return tr.Rehome(ctx, v, v.Files()[0]) },
			"timeline": func(ctx context.Context) error { _, err := tr.Timeline(ctx); return err },
			"wait":     func(ctx context.Context) error { return tr.WaitFor(ctx, 99) },
		} {
			for n := range int64(4) {
				after.Store(n)
				hang.Store(true)
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				begin := time.Now()
				err := call(ctx)
				cancel()
				hang.Store(false)
				known := errors.Is(err, context.DeadlineExceeded) || name == "rehome" && errors.Is(err, ErrViewExpired)
				if err != nil && !known || time.Since(begin) > 50*time.Millisecond {
					t.Errorf("%s, hanging from call %d on: %v after %v", name, n, err, time.Since(begin))
				}
				if now := tr.State(); now.Err != state.Err {
					t.Errorf("%s, hanging from call %d on: state %+v", name, n, now)
				}
				synctest.Wait()
			}
		}
		// Somebody else has the turn: who waits for it gives up with the context too.
		hang.Store(true)
		after.Store(0)
		long, stop := context.WithTimeout(t.Context(), time.Hour)
		var wg sync.WaitGroup
		wg.Go(func() { tr.Poll(long) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := tr.Refresh(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("refresh behind a poll that hangs: %v", err)
		}
		stop()
		wg.Wait()
		hang.Store(false)
		agree(t, newWitness(m.store, m), tr, mustPoll(t, tr))
	})
}

func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPace(time.Second)
		for range 300 {
			if d := p.next(); d != time.Second {
				t.Fatalf("waits %v while it is awake", d)
			}
			time.Sleep(time.Second)
		}
		var rests []time.Duration
		for range 6 {
			time.Sleep(time.Second)
			rests = append(rests, p.next()/time.Second)
		}
		if want := []time.Duration{2, 4, 8, 8, 8, 8}; !slices.Equal(rests, want) {
			t.Errorf("rests for %v seconds, want %v", rests, want)
		}
		p.wake()
		if d := p.next(); d != time.Second {
			t.Errorf("after waking: waits %v", d)
		}
		for _, want := range []time.Duration{2, 4, 8, 8} {
			p.fail()
			if d := p.next(); d != want*time.Second {
				t.Errorf("after a failure: waits %v, want %d s", d, want)
			}
		}
	})
}

// Run follows, slows down when nothing happens, says when polls fail and when they work again, and stops.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTestModel(t)
		m.commit(5)
		var broken atomic.Bool
		counts := objstore.NewMetrics(faultstore.Wrap(m.store, faultstore.Before(func(string, string) error {
			if broken.Load() {
				return objstore.ErrTemporary
			}
			return nil
		})))
		var log lockedBuffer
		tr, err := Open(t.Context(), counts, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { tr.Run(ctx) })

		for range 20 {
			m.commit(5, 2)
			time.Sleep(1001 * time.Millisecond)
			if tr.View().TXID != m.head().txid {
				t.Fatalf("at %s, want %s", tr.View().TXID, m.head().txid)
			}
		}
		time.Sleep(10 * time.Minute)
		before := counts.Stats()
		time.Sleep(10 * time.Minute)
		if got := counts.Stats().Sub(before); got.Gets > 86 || got.Lists > 3 { // a poll each 8 s, and each minute a look for the file of the head
			t.Errorf("ten minutes of nothing: %d gets, %d lists", got.Gets, got.Lists)
		}
		m.commit(5, 3)
		tr.Wake()
		synctest.Wait()
		if tr.View().TXID != m.head().txid {
			t.Error("was not woken")
		}
		broken.Store(true)
		m.commit(5, 4)
		time.Sleep(time.Minute)
		if s := tr.State(); s.Err == nil || time.Since(s.LastGood) < 50*time.Second {
			t.Errorf("store down: %+v", s)
		}
		broken.Store(false)
		time.Sleep(9 * time.Second)
		if s := tr.State(); s.Err != nil || tr.View().TXID != m.head().txid {
			t.Errorf("store up again: %+v", s)
		}
		cancel()
		wg.Wait()
		text := log.String()
		if strings.Count(text, "poll failed") != 1 || strings.Count(text, "polling works again") != 1 {
			t.Errorf("log: %s", text)
		}
	})
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// A negative interval means never: Run only waits.
func TestRun_Never(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTestModel(t)
		m.commit(5)
		counts := objstore.NewMetrics(m.store)
		tr, err := Open(t.Context(), counts, Options{PollInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		before := counts.Stats().Requests()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		tr.Run(ctx)
		if n := counts.Stats().Requests() - before; n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// The interval changes while Run runs: shorter, longer, never, and back.
func TestSetPollInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTestModel(t)
		m.commit(5)
		counts := objstore.NewMetrics(m.store)
		tr := mustOpen(t, counts)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { tr.Run(ctx) })
		for _, test := range []struct {
			every     time.Duration
			polls, or int64 // in a minute
		}{
			{100 * time.Millisecond, 590, 601}, {10 * time.Second, 5, 9}, {-1, 0, 2}, {0, 59, 61}, {-time.Hour, 0, 2}, {time.Second, 59, 61},
		} {
			tr.SetPollInterval(test.every)
			before := counts.Stats().Requests()
			time.Sleep(time.Minute)
			if n := counts.Stats().Requests() - before; n < test.polls || n > test.or {
				t.Errorf("every %v: %d requests a minute", test.every, n)
			}
		}
		cancel()
		wg.Wait()
	})
}

func TestWaitFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTestModel(t)
		m.commit(5)
		tr := mustOpen(t, m.store)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { tr.Run(ctx) })
		if err := tr.WaitFor(ctx, 1); err != nil {
			t.Errorf("what is there: %v", err)
		}
		begin := time.Now()
		for i := range TXID(5) {
			wg.Go(func() {
				if err := tr.WaitFor(ctx, 2+i%2); err != nil {
					t.Error(err)
				}
				if tr.View().TXID < 2+i%2 {
					t.Errorf("came back at %s", tr.View().TXID)
				}
			})
		}
		time.Sleep(3 * time.Second)
		m.commit(5, 2)
		m.commit(5, 3)
		if err := tr.WaitFor(ctx, 3); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 3100*time.Millisecond {
			t.Errorf("took %v, a tenth of the interval at most after the write was meant", took)
		}
		short, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		err := tr.WaitFor(short, 99)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "0000000000000063") {
			t.Errorf("what never comes: %v", err)
		}
		cancel()
		wg.Wait()
	})
}

// Everything at once, for the race detector: a writer with compaction and retention, polls, moves, travel, waiting, and
// readers who find the oracle's pages.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	m := newModel(new(memstore.Store), 3, 1, 512, func(err error) { t.Error(err) })
	m.commit(20)
	w := newWitness(m.store, m)
	w.lock = &m.mu
	tr, err := Open(t.Context(), m.store, Options{PollInterval: time.Millisecond, OnLoad: w.onLoad(func(err error) { t.Error(err) })})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	again := func(f func(rng *rand.Rand) error) {
		seed := rand.Uint64()
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 1))
			for ctx.Err() == nil {
				if err := f(rng); err != nil && ctx.Err() == nil && (errors.Is(err, errWrong) || errors.Is(err, ErrCorrupt)) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() { tr.Run(ctx) })
	again(func(*rand.Rand) error { return tr.Poll(ctx) })
	again(func(*rand.Rand) error { return tr.Refresh(ctx) })
	var reads atomic.Int64
	read := func(v *View) error {
		defer reads.Add(1)
		return w.view(ctx, v, func(gone *File) error { return tr.Rehome(ctx, v, gone) })
	}
	for range 2 {
		again(func(*rand.Rand) error {
			v := tr.View()
			if err := read(v); err != nil {
				return err
			}
			return read(v)
		})
	}
	again(func(rng *rand.Rand) error {
		tl, err := tr.Timeline(ctx)
		if err != nil {
			return err
		}
		txids := tl.TXIDs()
		v, err := tl.At(ctx, txids[rng.IntN(len(txids))])
		if err != nil {
			return err
		}
		if _, err := tl.Time(ctx, txids[rng.IntN(len(txids))]); err != nil {
			return err
		}
		v.TableBytes()
		return read(v)
	})
	again(func(*rand.Rand) error { return tr.WaitFor(ctx, tr.View().TXID+1) })
	again(func(*rand.Rand) error {
		v := tr.View()
		tr.State()
		tr.Wake()
		return tr.Rehome(ctx, v, v.Files()[0]) // it is there, but who knows
	})

	n := 400
	if testing.Short() || raceEnabled {
		n = 120
	}
	for i := 0; i < n || reads.Load() < 200; i++ {
		m.mu.Lock()
		switch k := m.rng.IntN(12); {
		case k < 7:
			m.transaction()
		case k < 8:
			m.compact(1, 1+m.rng.IntN(6))
		case k < 9:
			m.compact(2, 1+m.rng.IntN(3))
		case k < 10:
			m.snapshot()
		default:
			m.expireL0(0)
			m.expireAll(0)
		}
		m.mu.Unlock()
		runtime.Gosched()
	}
	m.mu.Lock()
	head := m.head().txid
	m.mu.Unlock()
	if err := tr.Refresh(ctx); err != nil {
		t.Error(err)
	}
	if err := tr.WaitFor(ctx, head); err != nil {
		t.Error(err)
	}
	cancel()
	wg.Wait()
}

// Times come from headers, one request each, and agree with the writer's; what a View knows takes no request.
func TestTimeline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTestModel(t)
		for range 40 {
			m.commit(20, 3)
			time.Sleep(1234 * time.Millisecond)
			if m.head().txid == 20 {
				m.snapshot()
			}
		}
		m.merge(1, m.files(0)[:10]...)
		m.merge(1, m.files(0)[10:15]...)
		m.merge(2, m.files(1)...)
		for _, f := range m.files(0)[:15] {
			m.remove(f)
		}
		time.Sleep(time.Hour)
		for _, o := range m.store.Objects() { // the bucket is copied: the store's times mean nothing
			m.put(0, 0, 0, nil)
			if _, err := m.store.Put(t.Context(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		m.check(m.store.Delete(t.Context(), (&File{}).Key()))
		counts := objstore.NewMetrics(m.store)
		tr := mustOpen(t, counts)
		before := counts.Stats()
		tl, err := tr.Timeline(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := counts.Stats().Sub(before); got.Requests() != 1 {
			t.Errorf("%d requests for a timeline", got.Requests())
		}
		want := []TXID{10, 15}
		for txid := TXID(16); txid <= 40; txid++ {
			want = append(want, txid)
		}
		if got := tl.TXIDs(); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for _, txid := range want {
			_, known := tl.Known(txid)
			before := counts.Stats()
			at, err := tl.Time(t.Context(), txid)
			if err != nil || !at.Equal(m.states[txid].at) {
				t.Errorf("time of %s: %s, %v; want %s", txid, at, err, m.states[txid].at)
			}
			if got := counts.Stats().Sub(before).Requests(); got > 1 || known && got != 0 {
				t.Errorf("time of %s, known %v: %d requests", txid, known, got)
			}
			if again, ok := tl.Known(txid); !ok || !again.Equal(at) {
				t.Errorf("time of %s is not remembered", txid)
			}
			if guess := tl.Guess(txid); guess.IsZero() || time.Since(guess) > time.Minute {
				t.Errorf("guess of %s: %s", txid, guess)
			}
		}
		if _, known := tl.Known(40); !known {
			t.Error("the head's time is not known")
		}
		w := newWitness(m.store, m)
		for _, txid := range want {
			v, err := tl.At(t.Context(), txid)
			if err != nil || v.TXID != txid || !v.Time.Equal(m.states[txid].at) && v.Files()[0].Level != SnapshotLevel {
				t.Fatalf("at %s: %v", txid, err)
			}
			agree(t, w, tr, v)
		}
		for _, txid := range []TXID{0, 5, 12, 41} {
			if _, err := tl.At(t.Context(), txid); !errors.Is(err, ErrNotReachable) {
				t.Errorf("at %s: %v", txid, err)
			}
			if _, err := tl.Time(t.Context(), txid); txid != 0 && !errors.Is(err, ErrNotReachable) {
				t.Errorf("time of %s: %v", txid, err)
			}
		}
		if v, _ := tl.At(t.Context(), 40); v != tr.View() {
			t.Error("the newest moment is another View than the head")
		}
		// Files that were merged meanwhile are no corruption.
		for _, f := range m.files(0) {
			m.remove(f)
		}
		fresh := mustOpen(t, m.store)
		tl.tracker.segments = segmentCache{}
		if _, err := tl.At(t.Context(), 33); !errors.Is(err, ErrViewExpired) {
			t.Errorf("files gone: %v", err)
		}
		_ = fresh
	})
}

// TestWaitFor_MergedUnseen: the files that a waiter waits for come and are merged away between two polls. The predicted key says nothing
// then, and a listing does.
func TestWaitFor_MergedUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newTestModel(t)
		m.commit(20)
		tr := mustOpen(t, m.store)
		for range 5 {
			m.commit(20, 3)
		}
		m.merge(1, m.files(0)...)
		for _, f := range m.files(0) {
			m.remove(f)
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		tr.SetPollInterval(time.Second)
		wg.Go(func() { tr.Run(ctx) })
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := tr.WaitFor(short, 6); err != nil {
			t.Error(err)
		}
		stop()
		wg.Wait()
	})
}
