package index

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
)

// sleeper is a Tracker that falls asleep when a test says so, and whoever runs it.
type sleeper struct {
	*Tracker
	t      testing.TB
	model  *model
	counts *objstore.Metrics
	idle   atomic.Bool
	down   atomic.Bool // every request fails
	hang   atomic.Bool // every request hangs until its context ends
	ctx    context.Context
	runs   sync.WaitGroup
}

func newSleeper(t testing.TB) *sleeper {
	s := &sleeper{t: t, model: newTestModel(t)}
	s.model.commit(5)
	s.counts = objstore.NewMetrics(faultstore.Wrap(s.model.store, func(context.Context, faultstore.Call) faultstore.Action {
		switch {
		case s.hang.Load():
			return faultstore.Action{Mode: faultstore.Hang}
		case s.down.Load():
			return faultstore.Action{Mode: faultstore.Refuse}
		}
		return faultstore.Action{}
	}))
	tr, err := Open(t.Context(), s.counts, Options{Idle: s.idle.Load})
	if err != nil {
		t.Fatal(err)
	}
	s.Tracker = tr
	ctx, cancel := context.WithCancel(t.Context())
	s.ctx = ctx
	t.Cleanup(func() {
		cancel()
		s.runs.Wait()
	})
	s.follow()
	return s
}

func (s *sleeper) follow() { s.runs.Go(func() { s.Run(s.ctx) }) }

// read is what a transaction does before it reads.
func (s *sleeper) read(ctx context.Context) (*View, error) {
	run, err := s.Rouse(ctx)
	if run {
		s.follow()
	}
	return s.View(), err
}

// rest lets the Tracker fall asleep, and not again.
func (s *sleeper) rest() {
	s.t.Helper()
	s.idle.Store(true)
	time.Sleep(3 * time.Second)
	s.idle.Store(false)
	if !s.State().Asleep {
		s.t.Fatal("it is not asleep")
	}
}

// requests are those that fn makes.
func (s *sleeper) requests(fn func()) objstore.Stats {
	before := s.counts.Stats()
	fn()
	return s.counts.Stats().Sub(before)
}

// Asleep it asks nothing. The first who reads sees what a Tracker that polls would show, by one look at the bucket, however many come at once;
// and polls go on.
func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSleeper(t)
		if n := s.requests(func() { time.Sleep(time.Minute) }).Requests(); n < 55 {
			t.Errorf("%d requests in a minute of being awake", n)
		}
		for range 3 {
			s.rest()
			if n := s.requests(func() { time.Sleep(24 * time.Hour) }).Requests(); n != 0 {
				t.Errorf("%d requests in a day of sleep", n)
			}
			want := s.model.commit(5, 2)
			got := s.requests(func() {
				var readers sync.WaitGroup
				for range 20 {
					readers.Go(func() {
						if v, err := s.read(t.Context()); err != nil || v.TXID != want {
							t.Errorf("reads %s, %v; want %s", v.TXID, err, want)
						}
					})
				}
				readers.Wait()
			})
			if got.Lists != 1 || got.Gets > 2 {
				t.Errorf("waking took %d LIST and %d GET", got.Lists, got.Gets)
			}
			want = s.model.commit(5, 3)
			time.Sleep(1001 * time.Millisecond)
			if s.View().TXID != want || s.State().Asleep {
				t.Errorf("polls do not go on: at %s, want %s", s.View().TXID, want)
			}
		}
		agree(t, newWitness(s.model.store, s.model), s.Tracker, s.View())
	})
}

// Who comes within the poll interval asks for nothing: polling would have shown no more.
func TestSleep_JustFellAsleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSleeper(t)
		s.idle.Store(true)
		time.Sleep(1500 * time.Millisecond) // the poll was after a second
		if !s.State().Asleep {
			t.Fatal("it is not asleep")
		}
		n := s.requests(func() {
			if _, err := s.read(t.Context()); err != nil {
				t.Error(err)
			}
		}).Requests()
		if n != 0 || s.State().Asleep {
			t.Errorf("%d requests, asleep: %v", n, s.State().Asleep)
		}
	})
}

// A store that is down, or hangs, is as when polls fail: readers go on with what there was, State says so, and polls bring the rest
// when the store is back.
func TestSleep_StoreDown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		breaks func(*sleeper)
		mends  func(*sleeper)
		within time.Duration
	}{
		{"down", func(s *sleeper) { s.down.Store(true) }, func(s *sleeper) { s.down.Store(false) }, 0},
		{"hangs", func(s *sleeper) { s.hang.Store(true) }, func(s *sleeper) { s.hang.Store(false) }, rouseWithin},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSleeper(t)
				s.rest()
				old := s.View().TXID
				time.Sleep(time.Hour)
				want := s.model.commit(5, 2)
				test.breaks(s)
				began := time.Now()
				v, err := s.read(t.Context())
				if took := time.Since(began); err != nil || v.TXID != old || took != test.within {
					t.Errorf("reads %s after %v, %v; want %s after %v", v.TXID, took, err, old, test.within)
				}
				if st := s.State(); st.Asleep || time.Since(st.LastGood) < time.Hour {
					t.Errorf("state %+v", st)
				}
				began = time.Now()
				if _, err := s.read(t.Context()); err != nil || time.Since(began) != 0 {
					t.Errorf("the second who reads waits %v, %v", time.Since(began), err)
				}
				test.mends(s)
				s.idle.Store(true) // it stays awake until a poll was good
				time.Sleep(time.Minute)
				if s.View().TXID != want || s.State().Err != nil {
					t.Errorf("at %s, %v; want %s", s.View().TXID, s.State().Err, want)
				}
			})
		})
	}
}

// Who gives up while it waits for the look says so. The next one looks.
func TestSleep_Interrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSleeper(t)
		s.rest()
		time.Sleep(time.Hour)
		want := s.model.commit(5, 2)
		s.hang.Store(true)
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		run, err := s.Rouse(short)
		if !run || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", run, err)
		}
		s.hang.Store(false)
		run, err = s.Rouse(t.Context())
		if run || err != nil || s.View().TXID != want {
			t.Errorf("the next one: %v, %v, at %s; want %s", run, err, s.View().TXID, want)
		}
	})
}

// While somebody waits for a transaction, a poll fails, or a file is being put, it does not fall asleep.
func TestSleep_NotNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSleeper(t)
		s.idle.Store(true)
		release := s.Hold()
		time.Sleep(time.Minute)
		if s.State().Asleep {
			t.Error("asleep while a file is put")
		}
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() { s.WaitFor(ctx, 99) })
		synctest.Wait()
		release()
		time.Sleep(time.Minute)
		if s.State().Asleep {
			t.Error("asleep while somebody waits")
		}
		s.down.Store(true)
		time.Sleep(time.Second)
		cancel()
		waiting.Wait()
		time.Sleep(time.Minute)
		if s.State().Asleep {
			t.Error("asleep although the last poll has failed")
		}
		s.down.Store(false)
		time.Sleep(time.Minute)
		if !s.State().Asleep {
			t.Error("awake although nothing keeps it so")
		}
	})
}

// A wait that ends before long lists nothing: the next file is asked for by its name.
func TestWaitFor_Requests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSleeper(t)
		time.Sleep(1500 * time.Millisecond)
		got := s.requests(func() {
			for range 20 {
				want := s.model.head().txid + 1
				var writer sync.WaitGroup
				writer.Go(func() {
					time.Sleep(1100 * time.Millisecond)
					s.model.commit(5, 2)
				})
				if err := s.WaitFor(t.Context(), want); err != nil {
					t.Error(err)
				}
				writer.Wait()
			}
		})
		if got.Lists > 1 || got.Gets > 20*15 {
			t.Errorf("twenty waits of a second: %d LIST and %d GET", got.Lists, got.Gets)
		}
	})
}

// Over weeks of reads, sleeps, transactions and compaction in any order nobody who comes after a sleep reads anything older than what was there one poll
// interval before.
func TestSleep_NeverOlder(t *testing.T) {
	t.Parallel()
	rounds := 2000
	if testing.Short() {
		rounds = 300
	}
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			s := newSleeper(t)
			w := newWitness(s.model.store, s.model)
			rng := rand.New(rand.NewPCG(seed, 1))
			slept := 0
			for round := range rounds {
				switch n := rng.IntN(20); {
				case n < 6:
					s.model.commit(5+rng.Uint32N(5), 1+rng.Uint32N(5))
				case n == 6:
					s.model.compact(1, 1+rng.IntN(20))
				case n == 7:
					s.model.compact(2, 1+rng.IntN(5))
				case n == 8:
					s.model.snapshot()
				case n == 9:
					s.model.expireL0(5 * time.Minute)
				case n == 10:
					s.idle.Store(rng.IntN(3) > 0)
				case n < 14:
					time.Sleep(time.Duration(rng.Int64N(int64(3 * time.Second))))
				case n == 14:
					time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Minute))))
				default:
					promise := restFactor * s.PollInterval() // of who has not slept, and polls rarely because nothing happens
					if s.State().Asleep {
						promise = s.PollInterval()
						slept++
					}
					v, err := s.read(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					then := time.Now().Add(-promise)
					for _, state := range s.model.states[v.TXID+1:] {
						if state.at.Before(then.Truncate(time.Millisecond)) {
							t.Fatalf("seed %d, round %d: reads %s, and %s is %v old", seed, round, v.TXID, state.txid, time.Since(state.at))
						}
					}
				}
			}
			agree(t, w, s.Tracker, s.View())
			if slept < rounds/100 {
				t.Errorf("seed %d: %d of %d rounds woke it", seed, slept, rounds)
			}
		})
	}
}
