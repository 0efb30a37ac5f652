package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// world is one seed.
type world struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand // of the steps; what happens within one has a chance of its own
	dir    string
	bucket *bucket
	store  objstore.Store // the bucket, whose listings may be late
	late   time.Duration  // by so much
	model  *model

	actors []*actor
	nodes  []*node
	others []*reader

	stepNo  atomic.Int64
	weather atomic.Int64
	healing atomic.Bool
	gates   [maxDepth]chan struct{} // one interleaving at a time on each level
	files   atomic.Int64            // to name directories

	counts counts

	mu    sync.Mutex
	first error    // that was wrong; guarded by mu
	trace []string // guarded by mu

	journal journal
}

// counts are what happened, for the figures.
type counts struct {
	commits, acked, landed, kills, faults, reads, expired, travels, restores, compactions, deleted, asides, between, follows, taken atomic.Int64
}

// maxDepth is how many operations may be under way at once, one within the other.
const maxDepth = 3

// actor is a process that does one thing after the other.
type actor struct {
	name  string
	depth atomic.Int64 // -1 while it does nothing
	act   func(ctx context.Context, r *rand.Rand) error
	quick func(ctx context.Context, r *rand.Rand) error // what it may do while it does something else; nil for nothing
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), dir: t.TempDir(), model: newModel()}
	for i := range w.gates {
		w.gates[i] = make(chan struct{}, 1)
	}
	w.bucket = &bucket{&memstore.Store{PageSize: []int{0, 0, 3, 20}[w.rng.IntN(4)]}, w}
	w.store = w.bucket
	if w.rng.IntN(4) == 0 {
		w.late = time.Duration(1+w.rng.IntN(4)) * time.Second
		w.store = faultstore.ListLate(w.bucket, w.late)
	}
	for i := range 2 + w.rng.IntN(2) {
		w.addNode(i)
	}
	for i := range 3 {
		w.addReader(i, i == 2 || w.rng.IntN(3) == 0)
	}
	for i := range 1 + w.rng.IntN(2) {
		w.addKeeper(i)
	}
	w.addRestorer()
	return w
}

func (w *world) add(name string, act func(context.Context, *rand.Rand) error) *actor {
	a := &actor{name: name, act: act}
	a.depth.Store(-1)
	w.actors = append(w.actors, a)
	return a
}

func (w *world) sky() weather { return weather(w.weather.Load()) }

// newDir is a directory that nobody has used.
func (w *world) newDir() string {
	dir := filepath.Join(w.dir, fmt.Sprint(w.files.Add(1)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.wrong(err)
	}
	return dir
}

// wrong notes the first thing that must not be.
func (w *world) wrong(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == nil {
		w.first = err
		w.trace = append(w.trace, "WRONG: "+err.Error())
	}
}

func (w *world) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first
}

// note keeps a line of what happened, for the one who looks into a seed.
func (w *world) note(format string, args ...any) {
	line := fmt.Sprintf("%s %4d  ", time.Now().UTC().Format("15:04:05.000"), w.stepNo.Load()) + strings.ReplaceAll(fmt.Sprintf(format, args...), w.dir, "")
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == nil {
		w.trace = append(w.trace, line)
	}
}

func (w *world) story() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := max(0, len(w.trace)-*traceLines)
	if *traceLines == 0 {
		from = 0
	}
	return strings.Join(w.trace[from:], "\n")
}

// step lets one actor act, and time pass.
func (w *world) step() {
	w.stepNo.Add(1)
	if w.rng.IntN(12) == 0 {
		w.weather.Store([]int64{int64(calm), int64(calm), int64(unsettled), int64(unsettled), int64(storm)}[w.rng.IntN(5)])
	}
	w.run(w.actors[w.rng.IntN(len(w.actors))], w.rng, 0)
	w.rest()
}

// rest lets time pass. Every step begins at a whole second: pauses between retries are random, and must not make two runs of a
// seed differ.
func (w *world) rest() {
	d := time.Duration(w.rng.IntN(3)) * time.Second
	switch w.rng.IntN(40) {
	case 0:
		d = time.Duration(w.rng.IntN(20)) * time.Minute
	case 1, 2, 3:
		d = time.Duration(w.rng.IntN(60)) * time.Second
	}
	next := time.Now().Add(d)
	time.Sleep(time.Until(next.Truncate(time.Second).Add(time.Second)))
}

// run lets an actor act, unless it is at something.
func (w *world) run(a *actor, r *rand.Rand, depth int) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), depthKey{}, depth), 10*time.Minute)
	defer cancel()
	var err error
	breathe()
	if a.depth.CompareAndSwap(-1, int64(depth)) {
		err = a.act(ctx, r)
		a.depth.Store(-1)
	} else if a.quick != nil {
		err = a.quick(ctx, r)
	}
	breathe()
	if err != nil {
		w.judge(fmt.Errorf("%s: %w", a.name, err))
	}
}

// judge decides whether an error may be.
func (w *world) judge(err error) {
	w.note("%v", err)
	var wrong *wrongError
	if errors.As(err, &wrong) || errors.Is(err, index.ErrCorrupt) {
		w.wrong(err)
	}
}

// breathe lets everybody who was woken at this instant come to rest, before anything else happens.
func breathe() { time.Sleep(time.Nanosecond) }

func (w *world) mayInterleave(depth int) bool { return depth+1 < maxDepth && !w.healing.Load() }

// between lets another actor act while a request of an operation at that depth is about to be made.
func (w *world) between(ctx context.Context, r *rand.Rand, depth int) {
	w.gates[depth] <- struct{}{} // not until ctx ends: when both come at once, chance decides
	defer func() { <-w.gates[depth] }()
	if ctx.Err() != nil {
		return
	}
	w.counts.between.Add(1)
	for range 1 + r.IntN(3) {
		w.run(w.actors[r.IntN(len(w.actors))], r, depth+1)
		if r.IntN(4) == 0 {
			time.Sleep(time.Duration(r.IntN(40)) * time.Second)
		}
	}
}
