package objstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// hanging is a store that answers in 10 ms, and while it hangs takes requests that it will never answer.
type hanging struct {
	*objstore.Hedged
	metrics *objstore.Metrics
	hangs   atomic.Bool
	takes   atomic.Int64 // nanoseconds for an answer; 0 is 10 ms
}

func newHanging(t *testing.T) *hanging {
	s := new(hanging)
	s.metrics = objstore.NewMetrics(faultstore.Wrap(fill(t, new(memstore.Store), map[string][]byte{"a": hedgedObject}),
		func(context.Context, faultstore.Call) faultstore.Action {
			if s.hangs.Load() {
				return faultstore.Action{Mode: faultstore.Hang}
			}
			return faultstore.Action{Delay: max(time.Duration(s.takes.Load()), 10*time.Millisecond)}
		}))
	s.Hedged = objstore.Hedge(s.metrics, objstore.HedgeOptions{})
	return s
}

// looks are the requests by which a follower looks for news.
var looks = map[string]func(context.Context, objstore.Store) error{
	"no news": func(ctx context.Context, s objstore.Store) error {
		_, err := s.ReadPrefix(ctx, objstore.Ref{Key: "b"}, 1<<20)
		if !errors.Is(err, objstore.ErrNotFound) {
			return fmt.Errorf("got %v, want that it is not there", err)
		}
		return nil
	},
	"news": func(ctx context.Context, s objstore.Store) error {
		part, err := s.ReadPrefix(ctx, objstore.Ref{Key: "a"}, 1<<20)
		if err != nil || string(part.Data) != string(hedgedObject) {
			return fmt.Errorf("%d bytes, %v", len(part.Data), err)
		}
		return nil
	},
	"listing": func(ctx context.Context, s objstore.Store) error {
		page, err := s.List(ctx, "", "")
		if err != nil || len(page.Objects) != 1 {
			return fmt.Errorf("%d objects, %v", len(page.Objects), err)
		}
		return nil
	},
}

// bounded is a look that ends, if late.
func bounded(t *testing.T, look func(context.Context, objstore.Store) error, s objstore.Store) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	return look(ctx, s)
}

// A single answer that is lost costs a look for news as long as it costs a range, and not the time limit of a request. That there is no
// such object is an answer, too.
func TestHedge_ALateLookIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, look := range looks {
		synctest.Test(t, func(t *testing.T) {
			s := newHanging(t)
			for n := range 60 {
				if n == 50 {
					s.hangs.Store(true)
					time.AfterFunc(5*time.Millisecond, func() { s.hangs.Store(false) })
				}
				start := time.Now()
				if err := bounded(t, look, s); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if took := time.Since(start); took > 50*time.Millisecond || n != 50 && took != 10*time.Millisecond {
					t.Errorf("%s %d took %v", name, n, took)
				}
			}
			if got, want := s.Stats(), (objstore.HedgeStats{Reads: 60, Seconds: 1, Won: 1}); got != want || s.metrics.Stats().InFlight != 0 {
				t.Errorf("%s: got %+v, want %+v; %d under way", name, got, want, s.metrics.Stats().InFlight)
			}
		})
	}
}

// What a store that hangs has taken it never answers. A look for news that began meanwhile ends within a second after it is back, whether
// the store was known before or not, however long that lasts, and whether there is a budget or not; and until then it makes about a request a second.
func TestHedge_StoreThatHangs(t *testing.T) {
	t.Parallel()
	for name, look := range looks {
		for _, known := range []int{0, 30} {
			for _, down := range []time.Duration{300 * time.Millisecond, 10 * time.Second, 29 * time.Second, 10 * time.Minute} {
				synctest.Test(t, func(t *testing.T) {
					s := newHanging(t)
					for range known {
						if err := bounded(t, look, s); err != nil {
							t.Error(err)
						}
					}
					before := s.metrics.Stats()
					s.hangs.Store(true)
					time.AfterFunc(down, func() { s.hangs.Store(false) })
					start := time.Now()
					err := bounded(t, look, s)
					took, made := time.Since(start)-down, s.metrics.Stats().Sub(before)
					if err != nil || took > 1010*time.Millisecond {
						t.Errorf("%s, hung for %v: %v, %v after it was back", name, down, err, took)
					}
					if most := int64(down/time.Second) + 3; made.Requests() > most || made.MaxInFlight > 5 || made.InFlight != 0 {
						t.Errorf("%s, hung for %v: %d requests, %d at once; want at most %d", name, down, made.Requests(), made.MaxInFlight, most)
					}
				})
			}
		}
	}
}

// What is asked for again and again is so for a follower's sake. A range is asked for twice, however long the store hangs.
func TestHedge_RangesAreNotInsistedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newHanging(t)
		for range 30 {
			readHedged(t, s)
		}
		s.hangs.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := s.ReadAt(ctx, objstore.Ref{Key: "a"}, make([]byte, 10), 0)
		if got := s.Stats(); !errors.Is(err, context.DeadlineExceeded) || got.Seconds != 1 {
			t.Errorf("got %v, %+v", err, got)
		}
		again, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = s.ReadPrefix(again, objstore.Ref{Key: "a"}, 1<<20+1) // long: it may just take its time
		if got := s.Stats(); !errors.Is(err, context.DeadlineExceeded) || got.Seconds != 1 {
			t.Errorf("a long beginning: got %v, %+v", err, got)
		}
	})
}

// A store that has become slow answers the first request, or one made later, in the time it takes: nothing that it works on is cancelled
// before. One that always was is not asked twice.
func TestHedge_SlowIsNotHanging(t *testing.T) {
	t.Parallel()
	for name, look := range looks {
		synctest.Test(t, func(t *testing.T) {
			s := newHanging(t)
			for range 30 {
				if err := bounded(t, look, s); err != nil {
					t.Error(err)
				}
			}
			s.takes.Store(int64(2500 * time.Millisecond))
			s.hangs.Store(true) // the first is lost as well
			time.AfterFunc(time.Millisecond, func() { s.hangs.Store(false) })
			start := time.Now()
			if err := bounded(t, look, s); err != nil || time.Since(start) > 2530*time.Millisecond {
				t.Errorf("%s: %v after %v", name, err, time.Since(start))
			}
			for n := range 60 {
				before, start := s.Stats().Seconds, time.Now()
				if err := bounded(t, look, s); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if took := time.Since(start); took != 2500*time.Millisecond {
					t.Errorf("%s: a store that takes 2.5 s took %v", name, took)
				}
				if made := s.Stats().Seconds - before; made > 4 || n >= 40 && made != 0 {
					t.Errorf("%s, look %d at a slow store: %d further requests", name, n, made)
				}
			}
		})
	}
}

// A store that refuses is not one that hangs: what fails is what the caller hears of, and no further request is made.
func TestHedge_RefusedLooks(t *testing.T) {
	t.Parallel()
	for name, look := range looks {
		synctest.Test(t, func(t *testing.T) {
			for _, refusal := range []error{objstore.ErrTemporary, objstore.ErrAccess} {
				metrics := objstore.NewMetrics(faultstore.Wrap(new(memstore.Store), func(context.Context, faultstore.Call) faultstore.Action {
					return faultstore.Action{Mode: faultstore.Refuse, Err: refusal, Delay: 10 * time.Millisecond}
				}))
				s := objstore.Hedge(metrics, objstore.HedgeOptions{})
				_, prefix := s.ReadPrefix(t.Context(), objstore.Ref{Key: "a"}, 10)
				_, list := s.List(t.Context(), "", "")
				if !errors.Is(prefix, refusal) || !errors.Is(list, refusal) || metrics.Stats().Requests() != 2 || bounded(t, look, s) == nil {
					t.Errorf("%s: %v, %v, %d requests", name, prefix, list, metrics.Stats().Requests())
				}
			}
		})
	}
}
