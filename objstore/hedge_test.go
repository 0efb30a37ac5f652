package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// paced is a store whose n-th read of a range, from 0, takes as long as wait says, or less when its context ends.
type paced struct {
	objstore.Store
	wait      func(n int64) time.Duration
	fail      func(n int64) error // after the wait; nil means never
	reads     atomic.Int64
	cancelled atomic.Int64
}

func (s *paced) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	n := s.reads.Add(1) - 1
	select {
	case <-time.After(s.wait(n)):
	case <-ctx.Done():
		s.cancelled.Add(1)
		clear(p) // what a cancelled read leaves behind is undefined
		return &objstore.OpError{Op: "get", Key: ref.Key, Err: ctx.Err()}
	}
	if s.fail != nil {
		if err := s.fail(n); err != nil {
			return &objstore.OpError{Op: "get", Key: ref.Key, Err: err}
		}
	}
	return s.Store.ReadAt(ctx, ref, p, off)
}

// hedgedObject is what the store of these tests holds under "a".
var hedgedObject = bytes.Repeat([]byte("0123456789abcdef"), 256)

func newPaced(t *testing.T, wait func(n int64) time.Duration) *paced {
	return &paced{Store: fill(t, new(memstore.Store), map[string][]byte{"a": hedgedObject}), wait: wait}
}

// usual answers in 10 ms, and the reads that late names never.
func usual(late ...int64) func(n int64) time.Duration {
	return func(n int64) time.Duration {
		for _, l := range late {
			if n == l {
				return time.Hour
			}
		}
		return 10 * time.Millisecond
	}
}

// dice are the random numbers of read n.
func dice(seed uint64, n int64) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(n))) }

// readHedged reads 100 bytes, checks them, and returns how long that took.
func readHedged(t *testing.T, store objstore.Store) time.Duration {
	t.Helper()
	start := time.Now()
	p := make([]byte, 100)
	if err := store.ReadAt(t.Context(), objstore.Ref{Key: "a"}, p, 7); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p, hedgedObject[7:107]) {
		t.Fatal("other bytes than those asked for")
	}
	return time.Since(start)
}

func TestHedge_ALateReadIsMadeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := newPaced(t, usual(50))
		store := objstore.Hedge(slow, objstore.HedgeOptions{})
		for n := range 100 {
			took := readHedged(t, store)
			if n != 50 && took != 10*time.Millisecond {
				t.Errorf("read %d took %s", n, took)
			}
			if n == 50 && (took < 30*time.Millisecond || took > 50*time.Millisecond) { // late after twice 10 ms, then 10 ms
				t.Errorf("the late read took %s", took)
			}
		}
		want := objstore.HedgeStats{Reads: 100, Seconds: 1, Won: 1}
		if got := store.Stats(); got != want || slow.reads.Load() != 101 || slow.cancelled.Load() != 1 {
			t.Errorf("got %+v, %d reads, %d cancelled", got, slow.reads.Load(), slow.cancelled.Load())
		}
	})
}

// The first that comes wins, also when it is the one that was late: the second is cancelled.
func TestHedge_TheFirstMayStillWin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := newPaced(t, func(n int64) time.Duration {
			switch n {
			case 40:
				return 35 * time.Millisecond
			case 41: // the second request
				return time.Hour
			}
			return 10 * time.Millisecond
		})
		store := objstore.Hedge(slow, objstore.HedgeOptions{})
		for range 40 {
			readHedged(t, store)
		}
		if took := readHedged(t, store); took != 35*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		if got := store.Stats(); got.Seconds != 1 || got.Won != 0 || slow.cancelled.Load() != 1 {
			t.Errorf("got %+v, %d cancelled", got, slow.cancelled.Load())
		}
	})
}

// When more reads are late than the budget has second requests for, it is kept.
func TestHedge_Budget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := newPaced(t, func(n int64) time.Duration {
			if dice(1, n).IntN(25) == 0 {
				return 200 * time.Millisecond
			}
			return 10 * time.Millisecond
		})
		store := objstore.Hedge(slow, objstore.HedgeOptions{})
		const reads = 2000
		for range reads {
			readHedged(t, store)
		}
		got := store.Stats()
		if most := int64(4 + reads/50); got.Seconds > most || got.Seconds < most/2 || got.Denied == 0 {
			t.Errorf("got %+v; want about %d second requests, and some denied", got, most)
		}
		if got.Reads+got.Seconds != slow.reads.Load() {
			t.Errorf("got %+v, %d reads", got, slow.reads.Load())
		}
	})
}

// The tail that hedging is for: one read of a hundred takes half a second.
func TestHedge_Tail(t *testing.T) {
	t.Parallel()
	tail := func(t *testing.T, hedge bool) (worst time.Duration, late int) {
		synctest.Test(t, func(t *testing.T) {
			store := objstore.Store(newPaced(t, func(n int64) time.Duration {
				rng := dice(2, n)
				if rng.IntN(100) == 0 {
					return 500 * time.Millisecond
				}
				return 15*time.Millisecond + time.Duration(rng.IntN(10))*time.Millisecond
			}))
			if hedge {
				store = objstore.Hedge(store, objstore.HedgeOptions{})
			}
			for range 2000 {
				took := readHedged(t, store)
				worst = max(worst, took)
				if took > 100*time.Millisecond {
					late++
				}
			}
		})
		return worst, late
	}
	_, plain := tail(t, false)
	_, hedged := tail(t, true)
	t.Logf("of 2,000 reads %d took more than 100 ms without hedging, %d with", plain, hedged)
	if plain < 10 || hedged > plain/5 {
		t.Errorf("of 2,000 reads %d took more than 100 ms without hedging, %d with", plain, hedged)
	}
}

// Of many requests that begin at once, as those that open a replica do, the slowest is late by what the others show.
func TestHedge_FirstWave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := objstore.Hedge(newPaced(t, usual(17)), objstore.HedgeOptions{})
		start := time.Now()
		done := make(chan error)
		for range 40 {
			go func() { done <- store.ReadAt(t.Context(), objstore.Ref{Key: "a"}, make([]byte, 10), 0) }()
		}
		for range 40 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		if got := store.Stats(); got.Won != 1 {
			t.Errorf("got %+v", got)
		}
	})
}

// A store that is slow, but evenly so, is not asked twice; one that answers at once neither.
func TestHedge_EvenStores(t *testing.T) {
	t.Parallel()
	for _, even := range []time.Duration{0, 5 * time.Millisecond, 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			store := objstore.Hedge(newPaced(t, func(n int64) time.Duration {
				return even + even*time.Duration(dice(3, n).IntN(50))/100
			}), objstore.HedgeOptions{})
			for range 500 {
				readHedged(t, store)
			}
			if got := store.Stats(); got.Seconds != 0 || got.Denied != 0 {
				t.Errorf("at %s: got %+v", even, got)
			}
		})
	}
}

// A read of a megabyte takes as long as it does; it is not late by the measure of small ones.
func TestHedge_SizesAreToldApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		big := bytes.Repeat([]byte("x"), 5<<20)
		inner := fill(t, new(memstore.Store), map[string][]byte{"a": hedgedObject, "big": big})
		large := false
		store := objstore.Hedge(&paced{Store: inner, wait: func(int64) time.Duration {
			if large {
				return 400 * time.Millisecond
			}
			return 10 * time.Millisecond
		}}, objstore.HedgeOptions{})
		for range 50 {
			readHedged(t, store)
		}
		large = true
		for _, size := range []int{1 << 20, 5 << 20} {
			if err := store.ReadAt(t.Context(), objstore.Ref{Key: "big"}, make([]byte, size), 0); err != nil {
				t.Fatal(err)
			}
		}
		if got := store.Stats(); got.Seconds != 0 || got.Reads != 51 { // the longest is not even counted
			t.Errorf("got %+v", got)
		}
	})
}

// A caller that gives up ends both requests.
func TestHedge_CancelEndsBoth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := newPaced(t, func(n int64) time.Duration {
			if n >= 30 {
				return time.Hour
			}
			return 10 * time.Millisecond
		})
		store := objstore.Hedge(slow, objstore.HedgeOptions{})
		for range 30 {
			readHedged(t, store)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := store.ReadAt(ctx, objstore.Ref{Key: "a"}, make([]byte, 10), 0)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
		if got := store.Stats(); got.Seconds != 1 || slow.cancelled.Load() != 2 {
			t.Errorf("got %+v, %d cancelled", got, slow.cancelled.Load())
		}
	})
}

// What the first says is the answer, whether it is an error or not; a second that fails changes nothing.
func TestHedge_Errors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		first, second time.Duration
		fail          map[int64]error
		want          error
	}{
		{"the first is refused at once", 0, time.Hour, map[int64]error{30: objstore.ErrAccess}, objstore.ErrAccess},
		{"the first fails late", 60 * time.Millisecond, time.Hour, map[int64]error{30: objstore.ErrTemporary}, objstore.ErrTemporary},
		{"the second fails", 60 * time.Millisecond, time.Millisecond, map[int64]error{31: objstore.ErrTemporary}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				slow := newPaced(t, func(n int64) time.Duration {
					switch n {
					case 30:
						return test.first
					case 31:
						return test.second
					}
					return 10 * time.Millisecond
				})
				slow.fail = func(n int64) error { return test.fail[n] }
				store := objstore.Hedge(slow, objstore.HedgeOptions{})
				for range 30 {
					readHedged(t, store)
				}
				p := make([]byte, 10)
				err := store.ReadAt(t.Context(), objstore.Ref{Key: "a"}, p, 0)
				if !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if err == nil && !bytes.Equal(p, hedgedObject[:10]) {
					t.Error("other bytes than those asked for")
				}
			})
		})
	}
}
