package index

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
)

// A store takes a poll and never answers it. Nobody who needs a poll, or only waits for that one to end, waits longer than about a second after the store
// is back, when one attempt lasted so long, whatever was asked when it began to hang; without a budget for second requests too.
func TestPoll_StoreThatHangs(t *testing.T) {
	t.Parallel()
	for what, begin := range map[string]func(*Tracker, context.Context) error{ // what hangs first
		"a poll":    (*Tracker).Poll,
		"a listing": (*Tracker).Refresh,
	} {
		for _, down := range []time.Duration{200 * time.Millisecond, 9 * time.Second, 29 * time.Second, 100 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				m := newTestModel(t)
				m.commit(5)
				var hangs atomic.Bool
				store := faultstore.Wrap(m.store, func(context.Context, faultstore.Call) faultstore.Action {
					if hangs.Load() {
						return faultstore.Action{Mode: faultstore.Hang}
					}
					return faultstore.Action{Delay: 25 * time.Millisecond}
				})
				tr := mustOpen(t, objstore.Retry(objstore.Hedge(store, objstore.HedgeOptions{}), objstore.RetryOptions{}))
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { tr.Run(ctx) })
				time.Sleep(time.Minute)

				hangs.Store(true)
				running.Go(func() {
					if err := begin(tr, ctx); err != nil {
						t.Error(err)
					}
				})
				time.Sleep(50 * time.Millisecond)
				want := m.commit(5, 2)
				back := time.Now().Add(down)
				within := 2 * time.Second
				if down > 30*time.Second {
					within = 5 * time.Second // it may have come back in the pause between two attempts
				}
				time.AfterFunc(down, func() { hangs.Store(false) })
				var waiting sync.WaitGroup
				for name, wait := range map[string]func() error{
					"who polls":              func() error { return tr.Poll(ctx) },
					"one of many who poll":   func() error { return tr.Freshen(ctx, 5*time.Second) },
					"who waits for news":     func() error { return tr.WaitFor(ctx, want) },
					"who lists":              func() error { return tr.Refresh(ctx) },
					"who uploads":            func() error { f, body := m.last(); _, err := tr.Adopt(ctx, f, body); return err },
					"who reads the timeline": func() error { _, err := tr.Timeline(ctx); return err },
				} {
					for range 3 {
						waiting.Go(func() {
							err := wait()
							if took := time.Since(back); err != nil || took > within {
								t.Errorf("%s behind %s that hung for %v: %v, %v after the store was back", name, what, down, err, took)
							}
						})
					}
				}
				waiting.Wait()
				if tr.View().TXID != want {
					t.Errorf("at %s, want %s", tr.View().TXID, want)
				}
				cancel()
				running.Wait()
			})
		}
	}
}

// A database that slept and is read while the store hangs has the news when the store is back within the five seconds that readers wait.
func TestRouse_StoreThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTestModel(t)
		m.commit(5)
		var hangs atomic.Bool
		store := faultstore.Wrap(m.store, func(context.Context, faultstore.Call) faultstore.Action {
			if hangs.Load() {
				return faultstore.Action{Mode: faultstore.Hang}
			}
			return faultstore.Action{Delay: 25 * time.Millisecond}
		})
		tr, err := Open(t.Context(), objstore.Retry(objstore.Hedge(store, objstore.HedgeOptions{}), objstore.RetryOptions{}),
			Options{Idle: func() bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		tr.Run(t.Context()) // until it sleeps
		time.Sleep(time.Hour)
		want := m.commit(5, 2)
		hangs.Store(true)
		time.AfterFunc(3*time.Second, func() { hangs.Store(false) })
		began := time.Now()
		if _, err := tr.Rouse(t.Context()); err != nil || tr.View().TXID != want || time.Since(began) > 4100*time.Millisecond {
			t.Errorf("%v, at %s after %v, want %s", err, tr.View().TXID, time.Since(began), want)
		}
	})
}

// Of many who need news of some age one polls, and an old answer is none: neither one that came long ago nor one that was asked for long ago.
func TestFreshen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTestModel(t)
		m.commit(5)
		counts := objstore.NewMetrics(slow(m.store, 100*time.Millisecond))
		tr := mustOpen(t, counts)
		fresh := func(n int, age time.Duration, want int64) {
			t.Helper()
			before := counts.Stats().Requests()
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					if err := tr.Freshen(t.Context(), age); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if got := counts.Stats().Requests() - before; got != want {
				t.Errorf("%d who want news not older than %v made %d requests, want %d", n, age, got, want)
			}
		}
		time.Sleep(2 * time.Second)
		fresh(1, time.Minute, 0) // opening was that
		fresh(20, time.Second, 1)
		fresh(20, time.Second, 0)
		time.Sleep(950 * time.Millisecond)
		fresh(1, time.Second, 1) // the answer is less than a second old, and what it says more
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		tr.takeTurn(t.Context())
		if err := tr.Freshen(ctx, 0); err == nil {
			t.Error("it does not wait for who polls")
		}
	})
}
