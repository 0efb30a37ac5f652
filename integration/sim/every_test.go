package sim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/verify"
	"github.com/litefs-s3/litefs-s3/writer"
)

// failure is one way in which a request goes wrong.
type failure struct {
	name   string
	action faultstore.Action
	passes bool // trying again helps, so the operation must succeed
}

var failures = []failure{
	{"refused", faultstore.Action{Mode: faultstore.Refuse}, true},
	{"throttled", faultstore.Action{Mode: faultstore.Refuse, Err: fmt.Errorf("503 SlowDown: %w", objstore.ErrTemporary)}, true},
	{"answer lost", faultstore.Action{Mode: faultstore.LoseReply}, true},
	{"body cut", faultstore.Action{Mode: faultstore.Cut}, true},
	{"no answer", faultstore.Action{Mode: faultstore.Hang}, true},
	{"done and no answer", faultstore.Action{Mode: faultstore.LoseReplyAndHang}, true},
	{"late", faultstore.Action{Delay: 25 * time.Second}, true},
	{"not found", faultstore.Action{Mode: faultstore.Refuse, Err: objstore.ErrNotFound}, false},
	{"access denied", faultstore.Action{Mode: faultstore.Refuse, Err: objstore.ErrAccess}, false},
}

// site is a small replica at which one operation is tried.
type site struct {
	*world
	node *node

	mu    sync.Mutex
	armed bool
	left  int // requests until the one that fails
	what  faultstore.Action
	calls int
}

// newSite builds a replica with files of all kinds: snapshots, merged files, single transactions.
func newSite(t *testing.T, empty bool) *site {
	s := &site{world: &world{t: t, seed: 1, rng: rand.New(rand.NewPCG(1, 1)), dir: t.TempDir(), model: newModel()}}
	s.healing.Store(true)
	s.bucket = &bucket{new(memstore.Store), s.world}
	s.store = faultstore.Wrap(s.bucket, s.plan)
	s.node = s.newNode()
	if empty {
		return s
	}
	s.must(s.node.start(t.Context()))
	s.must(s.node.Acquire(t.Context()))
	for i := range 12 {
		s.write(1 + i%3)
		time.Sleep(7 * time.Second)
		if i == 4 || i == 9 {
			s.compact()
		}
	}
	return s
}

func (s *site) newNode() *node {
	n := &node{
		w: s.world, logPath: s.newDir() + "/commits", interval: -1, durability: writer.Memory,
		acked: map[uint32]bool{}, asides: map[string]bool{}, kept: map[uint32]bool{},
	}
	n.actor = &actor{name: "node"}
	n.actor.depth.Store(-1)
	return n
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// write commits a few times and uploads that.
func (s *site) write(commits int) {
	s.t.Helper()
	s.commit(commits)
	s.must(s.node.Sync(s.t.Context()))
}

func (s *site) commit(commits int) {
	s.t.Helper()
	for range commits {
		s.must(s.node.commitOne(s.t.Context(), s.rng))
	}
}

func (s *site) keeper() *keeper {
	k := &keeper{w: s.world, actor: &actor{name: "keeper"}}
	k.actor.depth.Store(-1)
	return k
}

func (s *site) compact() {
	s.t.Helper()
	s.must(s.keeper().once(s.t.Context()))
}

// requests is a store as the programs have it: what fails for the moment is tried again.
func (s *site) requests() objstore.Store { return objstore.Retry(s.store, objstore.RetryOptions{}) }

func (s *site) plan(context.Context, faultstore.Call) faultstore.Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.armed {
		return faultstore.Action{}
	}
	s.calls++
	if s.left--; s.left != -1 {
		return faultstore.Action{}
	}
	return s.what
}

// arm makes the n-th request from now on fail.
func (s *site) arm(n int, what faultstore.Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.left, s.what, s.calls = true, n, what, 0
}

// disarm reports whether the request has come.
func (s *site) disarm() (fired bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	return s.left < 0
}

// typed reports whether an error says what its caller needs to know. It is never index.ErrCorrupt: nothing is.
func typed(err error) bool {
	for _, is := range []error{
		faultstore.ErrInjected, objstore.ErrNotFound, objstore.ErrAccess, objstore.ErrTemporary, objstore.ErrChanged,
		index.ErrViewExpired, index.ErrNoReplica, index.ErrGap, index.ErrHistoryChanged, index.ErrNotReachable,
		writer.ErrConflict, writer.ErrStoreDown, writer.ErrNotUploaded, writer.ErrLeaseLost, writer.ErrReadOnly, compact.ErrMoved,
	} {
		if errors.Is(err, is) {
			return !errors.Is(err, index.ErrCorrupt)
		}
	}
	return false
}

// sound checks the whole replica.
func (s *site) sound(ctx context.Context) error {
	if s.failed() != nil {
		return s.failed()
	}
	if s.model.head() == 0 {
		return nil
	}
	if err := s.node.account(); err != nil {
		return err
	}
	if report := verify.Run(ctx, s.bucket, verify.Options{}); report.Outcome != verify.Good {
		return fmt.Errorf("verify: %s: %v", report.Outcome, report.Problems)
	}
	if got, want := index.NewChains(s.bucket.files()).Head(), s.model.head(); got != want {
		return fmt.Errorf("the newest moment that can be opened is %s, want %s", got, want)
	}
	return nil
}

// TestEveryFault lets each request of each operation fail once, in each way. What passes is survived. What does not ends in an
// error that says what it is. Either way the replica is sound afterwards, and the same operation works.
func TestEveryFault(t *testing.T) {
	var faults atomic.Int64
	t.Cleanup(func() {
		figures := fmt.Sprintf("%d operations, each in %d ways: %d requests failed once", len(operations), len(failures), faults.Load())
		if t.Log(figures); *allFaults {
			fmt.Println(figures)
		}
	})
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			for k, f := range failures {
				t.Run(f.name, func(t *testing.T) {
					n := 0
					for every := sample(); ; n++ {
						if (n+k)%every != 0 {
							continue
						}
						if !everyCall(t, op, f, n) {
							break
						}
						faults.Add(1)
					}
					if n < op.least {
						t.Errorf("it made %d requests, and should make %d at least: there was nothing to fail", n, op.least)
					}
				})
			}
		})
	}
}

var allFaults = flag.Bool("sim.all", false, "each request fails in each way, not only in some")

// sample is n where each request fails in every n-th way: those of the next request are others.
func sample() int {
	switch {
	case *allFaults:
		return 1
	case testing.Short():
		return len(failures)
	}
	return 7
}

// everyCall lets request n of an operation fail, and reports whether there was one.
func everyCall(t *testing.T, op operation, f failure, n int) (fired bool) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, op.empty)
		defer s.end()
		run := op.prepare(s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s.arm(n, f.action)
		err := run(ctx)
		fired = s.disarm()
		switch {
		case err == nil:
		case !fired:
			t.Fatalf("without a fault: %v", err)
		case f.passes && !op.hears:
			t.Fatalf("request %d: trying again should have helped: %v", n, err)
		case !typed(err):
			t.Fatalf("request %d: an error that nobody can act on: %v", n, err)
		}
		if err := run(ctx); err != nil {
			t.Fatalf("request %d, which ended with %v: the next run: %v", n, err, err)
		}
		if err := s.sound(ctx); err != nil {
			t.Fatalf("request %d: afterwards: %v", n, err)
		}
	})
	return fired
}

// end lets go of everything.
func (s *site) end() {
	s.nodes = []*node{s.node}
	s.world.end()
}
