package pages

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// result of a read in the background.
type reading struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// start reads a page in the background.
func (s *scanner) start(ctx context.Context, v *index.View, pgno uint32) *reading {
	ctx, cancel := context.WithCancel(ctx)
	r := &reading{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer cancel()
		r.err = s.read(ctx, v, pgno)
	}()
	return r
}

func (r *reading) ended() bool {
	synctest.Wait()
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func TestFlight_OneRequestForAll(t *testing.T) {
	for _, budget := range []int64{0, huge} {
		synctest.Test(t, func(t *testing.T) {
			w := large().open(t, budget)
			w.spy.delay(time.Second)
			v := w.tracker.View()
			var all []*reading
			for range 20 {
				all = append(all, w.reader().start(t.Context(), v, 5000))
			}
			for _, r := range all {
				<-r.done
				w.must(r.err)
			}
			if gets := w.spy.take(); len(gets) != 1 {
				t.Errorf("%d requests for one page", len(gets))
			}
		})
	}
}

// TestFlight_NeverTwice lets readers race for the same pages at full speed: what is cached is never fetched again.
func TestFlight_NeverTwice(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := large().open(t, huge)
		v := w.tracker.View()
		var wg sync.WaitGroup
		for n := range 4 {
			reader := w.reader()
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(seed, 1))
				for range 100 {
					pgno := 1 + rng.Uint32N(v.Commit)
					if n == 3 {
						pgno = pgno%500 + 1
					}
					if err := reader.read(t.Context(), v, pgno); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		w.source.wg.Wait()
		fetched := map[int64]bool{}
		for _, g := range w.spy.take() {
			if fetched[g.off] {
				t.Fatalf("two requests begin at byte %d", g.off)
			}
			fetched[g.off] = true
		}
	}
}

// scan reads from page 1 to at least pgno, and returns the first page that is not here then.
func (s *scanner) scan(v *index.View, pgno uint32) uint32 {
	s.mustRead(v, span(1, pgno)...)
	s.source.wg.Wait()
	for {
		if p := s.w.lookup(v, pgno); !s.source.cache.has(s.source.key(v, p)) {
			return pgno
		}
		pgno++
	}
}

// X5: a store that hangs.
func TestFlight_Deadline(t *testing.T) {
	for name, prepare := range map[string]func(w *world, s *scanner, v *index.View) uint32{
		"single page": func(*world, *scanner, *index.View) uint32 { return 5000 },
		"scan":        func(_ *world, s *scanner, v *index.View) uint32 { return s.scan(v, 30) },
		"long scan": func(w *world, s *scanner, v *index.View) uint32 {
			w.source.SetMaxAhead(4 << 20)
			return s.scan(v, 2000)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := large().open(t, huge)
			v := w.tracker.View()
			reader := w.reader()
			reader.mustRead(v, 1)
			pgno := prepare(w, reader, v)
			synctest.Wait()
			w.spy.hang()
			ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("too slow"))
			defer cancel()
			began := time.Now()
			err := reader.read(ctx, v, pgno)
			if took := time.Since(began); took != 50*time.Millisecond {
				t.Errorf("%s: read ended after %s", name, took)
			}
			if err == nil || !strings.Contains(err.Error(), "too slow") {
				t.Errorf("%s: %v", name, err)
			}
			synctest.Wait()
			if n := w.spy.inFlight.Load(); n != 0 {
				t.Errorf("%s: %d requests are still running", name, n)
			}
			if n := len(w.source.flights); n != 0 {
				t.Errorf("%s: %d pages are still on their way", name, n)
			}
			w.source.wg.Wait() // a goroutine that is left would be a deadlock here
			w.spy.clear()
			reader.mustRead(v, pgno, pgno+1) // the connection lives on
		})
	}
}

// TestFlight_HangsForReal is the same with a real clock, for one that is called by nobody's schedule.
func TestFlight_HangsForReal(t *testing.T) {
	t.Parallel()
	w := large().open(t, huge)
	w.spy.hang()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.reader().read(ctx, w.tracker.View(), 77); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestFlight_OneLeaves cancels one of two readers that wait for the same page.
func TestFlight_OneLeaves(t *testing.T) {
	for _, first := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := large().open(t, huge)
			w.spy.delay(time.Minute)
			v := w.tracker.View()
			a := w.reader().start(t.Context(), v, 5000)
			synctest.Wait()
			b := w.reader().start(t.Context(), v, 5000)
			c := w.reader().start(t.Context(), v, 5001) // comes with it
			synctest.Wait()
			if !first {
				a, b = b, a
			}
			a.cancel()
			if !a.ended() || !errors.Is(a.err, context.Canceled) {
				t.Fatalf("cancelled reader did not end: %v", a.err)
			}
			if b.ended() || c.ended() {
				t.Fatal("the others ended with it")
			}
			<-b.done
			<-c.done
			w.must(errors.Join(b.err, c.err))
			if gets := w.spy.take(); len(gets) != 1 {
				t.Errorf("%d requests", len(gets))
			}
		})
	}
}

// TestFlight_LastLeaves cancels all who wait: the request ends, and who comes then gets one of his own.
func TestFlight_LastLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := large().open(t, huge)
		w.spy.hang()
		v := w.tracker.View()
		a := w.reader().start(t.Context(), v, 5000)
		b := w.reader().start(t.Context(), v, 5000)
		synctest.Wait()
		a.cancel()
		b.cancel()
		if !a.ended() || !b.ended() {
			t.Fatal("a cancelled reader still waits")
		}
		w.spy.clear()
		w.reader().mustRead(v, 5000)
		if n := w.spy.inFlight.Load(); n != 0 {
			t.Errorf("%d requests are still running", n)
		}
	})
}

// TestFlight_StoreSaysCanceled has a store that fails with context.Canceled although nobody cancelled: an error, not a loop.
func TestFlight_StoreSaysCanceled(t *testing.T) {
	t.Parallel()
	w := large().open(t, huge)
	w.spy.hook(func(context.Context, get) error { return context.Canceled })
	if err := w.reader().read(t.Context(), w.tracker.View(), 5000); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if gets := w.spy.take(); len(gets) != 1 {
		t.Errorf("%d requests", len(gets))
	}
}

// TestFlight_CancelledBefore makes no request for a statement that has ended, and serves it what is here.
func TestFlight_CancelledBefore(t *testing.T) {
	t.Parallel()
	w := large().open(t, huge)
	reader := w.reader()
	v := w.tracker.View()
	reader.mustRead(v, 100)
	w.spy.take()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.must(reader.read(ctx, v, 100))
	if err := reader.read(ctx, v, 5000); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if gets := w.spy.take(); len(gets) != 0 {
		t.Errorf("%d requests", len(gets))
	}
}

// ahead makes reader scan until there are requests that nobody waits for, all held back by the store, and returns a page
// that one of them brings, far ahead.
func ahead(t *testing.T, w *world, reader *scanner, release <-chan struct{}, outcome *atomic.Pointer[error]) uint32 {
	v := w.tracker.View()
	p := w.lookup(v, 1)
	w.spy.hook(func(ctx context.Context, g get) error {
		if g.has(p) {
			return nil
		}
		select {
		case <-release:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := outcome.Load(); err != nil {
			return *err
		}
		return nil
	})
	for pgno := uint32(1); ; pgno++ {
		p = w.lookup(v, pgno)
		reader.mustRead(v, pgno)
		synctest.Wait()
		if legs := reader.streams[0].legs; len(legs) > 1 {
			return legs[len(legs)-1].first + 1
		}
		if pgno == 1000 {
			t.Fatal("nothing is fetched ahead")
		}
	}
}

// TestFlight_ScannerLeaves ends a scan while others wait for what it has asked for ahead.
func TestFlight_ScannerLeaves(t *testing.T) {
	for name, leave := range map[string]func(cancel func(), reader *Reader){
		"cancelled": func(cancel func(), _ *Reader) { cancel() },
		"closed":    func(_ func(), reader *Reader) { reader.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := large().open(t, huge)
			v := w.tracker.View()
			release := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reader := w.reader()
			reader.ctx = ctx
			pgno := ahead(t, w, reader, release, new(atomic.Pointer[error]))
			running := w.spy.inFlight.Load()
			other := w.reader().start(t.Context(), v, pgno)
			synctest.Wait()
			leave(cancel, reader.Reader)
			if other.ended() {
				t.Fatalf("%s: the other's read ended: %v", name, other.err)
			}
			if n := w.spy.inFlight.Load(); n != 1 || running < 2 {
				t.Errorf("%s: %d of %d requests are still running; one is waited for", name, n, running)
			}
			close(release)
			<-other.done
			w.must(other.err)
		})
	}
}

// TestFlight_JoinedPrefetchFails waits for what somebody has asked for ahead, in vain: the read succeeds on its own.
func TestFlight_JoinedPrefetchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := large().open(t, huge)
		v := w.tracker.View()
		release := make(chan struct{})
		outcome := new(atomic.Pointer[error])
		outcome.Store(new(objstore.ErrTemporary))
		pgno := ahead(t, w, w.reader(), release, outcome)
		p := w.lookup(v, pgno)
		all := []*reading{w.reader().start(t.Context(), v, pgno), w.reader().start(t.Context(), v, pgno)}
		synctest.Wait()
		w.spy.take()
		w.spy.clear()
		close(release)
		for _, r := range all {
			<-r.done
			w.must(r.err)
		}
		brought := 0
		for _, g := range w.spy.take() {
			if g.has(p) {
				brought++
			}
		}
		if brought != 1 {
			t.Errorf("%d requests for one page", brought)
		}
	})
}

// TestFlight_FailureIsShared has many wait for one request that fails: they do not ask again one after the other.
func TestFlight_FailureIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := large().open(t, huge)
		v := w.tracker.View()
		w.spy.hook(func(ctx context.Context, _ get) error {
			_ = sleep(ctx, time.Minute)
			return objstore.ErrAccess
		})
		began := time.Now()
		var all []*reading
		for range 10 {
			all = append(all, w.reader().start(t.Context(), v, 5000))
		}
		for _, r := range all {
			<-r.done
			if !errors.Is(r.err, objstore.ErrAccess) {
				t.Error(r.err)
			}
		}
		if gets := w.spy.take(); len(gets) != 1 || time.Since(began) != time.Minute {
			t.Errorf("%d requests in %s", len(gets), time.Since(began))
		}
	})
}

// TestSource_CloseWhileReading closes under readers of all kinds.
func TestSource_CloseWhileReading(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		w := layered().openAdmitting(t, 2<<20)
		v := w.tracker.View()
		if seed%2 == 1 {
			w.spy.delay(time.Millisecond)
		}
		var wg sync.WaitGroup
		begun := make(chan struct{}, 8)
		for n := range 4 {
			reader := w.reader()
			wg.Go(func() {
				order := orders[n].pages(v.Commit)
				for i := 0; ; i++ {
					if err := reader.read(t.Context(), v, order[i%len(order)]); err != nil {
						if !errors.Is(err, errClosed) {
							t.Error(err)
						}
						return
					}
					if i == 50*int(seed) {
						begun <- struct{}{}
					}
				}
			})
		}
		<-begun
		w.source.Close()
		wg.Wait()
		if n := w.cache.Used(); n != 0 {
			t.Errorf("%d bytes are used after Close", n)
		}
		w.source.Admit(v, []index.Blob{{File: v.Files()[0], Data: make([]byte, 1000)}})
		w.close()
	}
}

func TestSource_CloseWhileStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := large().open(t, huge)
		w.spy.hang()
		r := w.reader().start(t.Context(), w.tracker.View(), 5000)
		synctest.Wait()
		w.source.Close()
		<-r.done
		if !errors.Is(r.err, errClosed) || errors.Is(r.err, context.Canceled) {
			t.Error(r.err)
		}
	})
}

// TestReader_IdleHoldsNothing leaves a reader idle in the middle of a scan: neither the View that it read nor the
// pages that it had asked for stay in memory.
func TestReader_IdleHoldsNothing(t *testing.T) {
	r := layered()
	w := r.open(t, huge)
	reader := w.reader()
	old := func() weak.Pointer[index.View] {
		v := w.tracker.View()
		reader.mustRead(v, span(1, 500)...)
		return weak.Make(v)
	}()
	w.source.wg.Wait()
	legs := 0
	for i := range reader.streams {
		for _, l := range reader.streams[i].legs {
			legs++
			if f := l.flight; f != nil && (f.keys != nil || f.pages != nil || f.waiting != 0) {
				t.Errorf("flight of pages %d to %d holds what it has brought", l.first, l.last)
			}
		}
	}
	if legs < 2 {
		t.Errorf("%d legs: this test does not scan", legs)
	}
	r.commit(1000, 7)
	w.poll()
	runtime.GC()
	runtime.GC()
	if old.Value() != nil {
		t.Error("the old view is still in memory")
	}
	runtime.KeepAlive(reader)
}

// TestReader_ScanGoesOnInNextView moves the head in the middle of a scan.
func TestReader_ScanGoesOnInNextView(t *testing.T) {
	r := newReplica(4096)
	r.commit(3000)
	w := r.open(t, huge)
	reader := w.reader()
	reader.mustRead(w.tracker.View(), span(1, 1500)...)
	r.commit(3000, 7)
	v := w.poll()
	w.source.wg.Wait()
	before := w.source.Stats()
	reader.Begin()
	reader.mustRead(v, span(1501, 3000)...)
	w.source.wg.Wait()
	after := w.source.Stats()
	if n := (after.Fetches - after.Ahead) - (before.Fetches - before.Ahead); n > 1 {
		t.Errorf("scan made %d requests that were not ahead of it after the view changed", n)
	}
}
