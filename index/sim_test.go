package index

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

var (
	replaySeed = flag.Uint64("seed", 0, "run the simulations with this seed only")
	moreSeeds  = flag.Int("seeds", 1, "run the simulations with so many times as many seeds")
)

// between calls a hook before every request, as a world does that does not stand still while somebody reads it.
type between struct {
	Reader
	hook func() // called by one request at a time
	mu   *sync.Mutex
}

func (s between) before() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook()
}

func (s between) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	s.before()
	return s.Reader.List(ctx, prefix, startAfter)
}

func (s between) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	s.before()
	return s.Reader.ReadAt(ctx, ref, p, off)
}

func (s between) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	s.before()
	return s.Reader.ReadPrefix(ctx, ref, n)
}

// sim is a random world: one writer with its compactor, and followers that look on.
type sim struct {
	t         *testing.T
	rng       *rand.Rand
	m         *model
	store     *memstore.Store
	reader    Reader
	keepL0    time.Duration
	harsh     bool // retention goes to the limit, whatever the time
	restless  bool // the world moves while a request is under way
	followers []*simFollower
	pins      []pin

	mu    sync.Mutex // guards calls of the hook
	quiet bool       // no changes between requests now
	fatal error      // first wrong thing seen in a callback

	polls, travels, rehomes, expired, replaced int
}

type simFollower struct {
	*Tracker
	w *witness
}

type pin struct {
	f *simFollower
	v *View
}

func newSim(t *testing.T, seed uint64, harsh, restless bool) *sim {
	s := &sim{t: t, rng: rand.New(rand.NewPCG(seed, 99)), store: new(memstore.Store), harsh: harsh, restless: restless, keepL0: 20 * time.Second}
	s.store.PageSize = []int{0, 0, 3, 7, 20}[s.rng.IntN(5)]
	s.m = newModel(s.store, seed, 1, []uint32{512, 1024, 4096}[s.rng.IntN(3)], func(err error) { t.Errorf("model: %v", err) })
	s.m.old = s.rng.IntN(4) == 0
	s.m.ours = s.rng.IntN(4) == 0
	s.reader = s.store
	if restless {
		s.reader = between{s.store, s.disturb, new(sync.Mutex)}
	}
	return s
}

// disturb is called between requests of a restless world.
func (s *sim) disturb() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quiet || s.rng.IntN(3) > 0 {
		return
	}
	s.move()
}

// move lets the writer or its compactor do something.
func (s *sim) move() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	switch k := s.rng.IntN(70); {
	case k < 36:
		s.m.transaction()
	case k < 46:
		s.m.compact(1, 1+s.rng.IntN(8))
	case k < 51:
		s.m.compact(2, 1+s.rng.IntN(4))
	case k < 54:
		s.m.compact(3, 1+s.rng.IntN(3))
	case k < 58 && s.m.head().txid > 0:
		s.m.snapshot()
	case k < 66:
		if s.harsh {
			s.m.expireL0(0)
		} else {
			s.m.expireL0(s.keepL0)
		}
	case k < 69:
		if s.harsh {
			s.m.expireAll(0)
		} else {
			s.m.expireAll(2 * time.Minute)
		}
	default:
		s.m.old = !s.m.old // another version of the writer
	}
}

func (s *sim) step() {
	switch k := s.rng.IntN(100); {
	case k < 60:
		s.mu.Lock()
		s.move()
		s.mu.Unlock()
		time.Sleep(time.Duration(s.rng.IntN(2000)) * time.Millisecond)
	case k < 64:
		time.Sleep(time.Duration(s.rng.Int64N(int64(10 * time.Minute))))
	case k < 68:
		s.open()
	case k < 85 && len(s.followers) > 0:
		s.poll(s.followers[s.rng.IntN(len(s.followers))])
	case k < 92 && len(s.followers) > 0:
		f := s.followers[s.rng.IntN(len(s.followers))]
		s.pins = append(s.pins, pin{f, f.View()})
		if n := len(s.pins); n > 6 {
			s.pins = slices.Delete(s.pins, 0, n-6)
		}
		s.read(s.pins[s.rng.IntN(len(s.pins))])
	case len(s.followers) > 0:
		s.travel(s.followers[s.rng.IntN(len(s.followers))])
	}
	if s.fatal != nil {
		s.t.Fatal(s.fatal)
	}
}

func (s *sim) note(err error) {
	if s.fatal == nil {
		s.fatal = err
	}
}

func (s *sim) open() {
	f := &simFollower{w: newWitness(s.store, s.m)}
	tr, err := Open(s.t.Context(), s.reader, Options{OnLoad: f.w.onLoad(s.note)})
	if err != nil {
		if s.restless || errors.Is(err, ErrNoReplica) {
			return
		}
		s.t.Fatalf("open: %v", err)
	}
	f.Tracker = tr
	if !s.restless && tr.View().TXID != s.m.head().txid {
		s.t.Fatalf("opened at %s instead of %s, state %+v", tr.View().TXID, s.m.head().txid, tr.State())
	}
	s.check(f, f.View())
	if len(s.followers) < 4 {
		s.followers = append(s.followers, f)
	} else {
		s.followers[s.rng.IntN(4)] = f
	}
}

// poll polls until the follower is at the head: twice at most.
func (s *sim) poll(f *simFollower) {
	s.polls++
	if s.restless {
		before := f.View()
		f.Poll(s.t.Context()) // whatever comes of it
		if v := f.View(); v.TXID < before.TXID && v.History == before.History {
			s.t.Fatalf("poll went back from %s to %s", before.TXID, v.TXID)
		}
		s.setQuiet(true)
		defer s.setQuiet(false)
	}
	s.reach(f)
	s.check(f, f.View())
}

func (s *sim) setQuiet(quiet bool) {
	s.mu.Lock()
	s.quiet = quiet
	s.mu.Unlock()
}

func (s *sim) reach(f *simFollower) {
	was := f.View()
	for n := 1; ; n++ {
		err := f.Poll(s.t.Context())
		if (err == nil) != (f.State().Err == nil) {
			s.t.Fatalf("poll: %v, state says %v", err, f.State().Err)
		}
		if err == nil && f.View().TXID == s.m.head().txid {
			break
		}
		if n == 2 && s.harsh {
			time.Sleep(listIdle) // what came and went unseen is found by the next listing
		} else if n >= 2 {
			s.t.Fatalf("after two polls at %s instead of %s: %v, state %+v\n%v", f.View().TXID, s.m.head().txid, err, f.State(), s.m.store.Keys())
		}
	}
	if f.View().History != was.History {
		s.replaced++
	}
}

// check compares a View that nobody has disturbed with the oracle.
func (s *sim) check(f *simFollower, v *View) {
	s.mu.Lock()
	was := s.quiet
	s.quiet = true
	s.mu.Unlock()
	defer s.setQuiet(was)
	s.read(pin{f, v})
}

// read reads the whole of an old View. It may have expired only when no files hold that moment.
func (s *sim) read(p pin) {
	err := p.f.w.view(s.t.Context(), p.v, func(gone *File) error {
		s.rehomes++
		return p.f.Rehome(s.t.Context(), p.v, gone)
	})
	switch {
	case err == nil:
	case errors.Is(err, ErrViewExpired):
		s.expired++
		s.pins = slices.DeleteFunc(s.pins, func(q pin) bool { return q.v == p.v })
		if !s.restless {
			if _, err := newPlanner(s.list(), nil).chain(p.v.TXID); err == nil && p.f.View().History == p.v.History {
				s.t.Fatalf("view at %s expired although files hold it", p.v.TXID)
			}
			if v := p.f.View(); v.TXID != s.m.head().txid {
				s.t.Fatalf("after a view expired the head is at %s instead of %s", v.TXID, s.m.head().txid)
			}
		}
	case errors.Is(err, errWrong) || !s.restless:
		s.t.Fatalf("view at %s: %v", p.v.TXID, err)
	}
}

func (s *sim) list() []File {
	c, err := ListAll(s.t.Context(), s.store)
	if err != nil {
		s.t.Fatal(err)
	}
	return c.Files
}

// travel opens a random moment of the past.
func (s *sim) travel(f *simFollower) {
	s.travels++
	tl, err := f.Timeline(s.t.Context())
	if err != nil {
		if s.restless {
			return
		}
		s.t.Fatalf("timeline: %v", err)
	}
	txids := tl.TXIDs()
	if !s.restless {
		if err := tl.Gap(); err != nil {
			s.t.Fatal(err)
		}
		if want := reachable(s.list()); !slices.Equal(txids, want) {
			s.t.Fatalf("timeline: %v, want %v", txids, want)
		}
	}
	txid := txids[s.rng.IntN(len(txids))]
	v, err := tl.At(s.t.Context(), txid)
	switch {
	case err != nil && s.restless && !errors.Is(err, errWrong):
		return
	case err != nil:
		s.t.Fatalf("at %s: %v", txid, err)
	case v.TXID != txid:
		s.t.Fatalf("at %s: got %s", txid, v.TXID)
	}
	s.read(pin{f, v})
	s.pins = append(s.pins, pin{f, v})
	at, err := tl.Time(s.t.Context(), txid)
	if err != nil {
		if s.restless {
			return
		}
		s.t.Fatalf("time of %s: %v", txid, err)
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if want := s.m.states[txid].at; at.Before(want) || !at.Equal(want) && tl.dated(txid).Level != SnapshotLevel {
		s.t.Fatalf("time of %s: got %s, want %s", txid, at, want)
	}
}

// reachable is what a planner must find, the slow way.
func reachable(files []File) []TXID {
	at := map[TXID]bool{}
	for again := true; again; {
		again = false
		for _, f := range files {
			ok := f.Min == 1
			for t := range at {
				ok = ok || t+1 >= f.Min && t < f.Max
			}
			if ok && !at[f.Max] {
				at[f.Max], again = true, true
			}
		}
	}
	var txids []TXID
	for t := range at {
		txids = append(txids, t)
	}
	slices.Sort(txids)
	return txids
}

func simulate(t *testing.T, seeds, steps int, harsh, restless bool) {
	t.Parallel()
	if testing.Short() || raceEnabled {
		seeds = max(seeds/8, 5)
	}
	seeds *= *moreSeeds
	var polls, travels, rehomes, expired, replaced int
	run := func(seed uint64) {
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, seed, harsh, restless)
				for range steps {
					s.step()
				}
				s.setQuiet(true)
				for _, f := range s.followers {
					s.reach(f)
					s.check(f, f.View())
				}
				polls, travels, rehomes = polls+s.polls, travels+s.travels, rehomes+s.rehomes
				expired, replaced = expired+s.expired, replaced+s.replaced
			})
		})
		if !ok {
			t.Fatalf("replay: go test ./index -run '%s' -seed=%d", t.Name(), seed)
		}
	}
	if *replaySeed != 0 {
		run(*replaySeed)
		return
	}
	for seed := range seeds {
		run(uint64(seed + 1))
	}
	t.Logf("%d seeds: %d polls, %d travels, %d rehomes, %d views expired, %d times taken for another history",
		seeds, polls, travels, rehomes, expired, replaced)
}

// Random histories of commits, compaction at three levels, snapshots, retention; followers that open and poll at any
// moment reach the head within two polls, and every View is the oracle's, page by page.
func TestR1_FollowerNeverStuck(t *testing.T) {
	t.Run("litestream", func(t *testing.T) { simulate(t, 400, 150, false, false) })
	t.Run("retention to the limit", func(t *testing.T) { simulate(t, 200, 150, true, false) })
	t.Run("files vanish between requests", func(t *testing.T) { simulate(t, 200, 120, false, true) })
	t.Run("files vanish between requests to the limit", func(t *testing.T) { simulate(t, 200, 120, true, true) })
}
