package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// bucket is the store itself. It looks at everything that is put and removed at the moment when that takes effect.
type bucket struct {
	*memstore.Store
	w *world
}

func (b *bucket) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	level, lo, hi, isFile := index.ParseKey(key)
	if !isFile {
		return b.Store.Put(ctx, key, bytes.NewReader(data), opts)
	}
	there := objstore.Ref{Key: key}
	_, missing := b.Store.ReadPrefix(ctx, there, 1)
	etag, err := b.Store.Put(ctx, key, bytes.NewReader(data), opts)
	if err != nil {
		return "", err
	}
	b.w.note("put %s", key)
	if missing == nil && level == 0 {
		b.w.wrong(fmt.Errorf("put %s: it was there, and has been written over", key))
		return etag, nil
	}
	if level == 0 {
		b.w.counts.landed.Add(1)
	}
	if err := b.w.model.put(level, lo, hi, data); err != nil {
		b.w.wrong(fmt.Errorf("put %s: %w", key, err))
	}
	return etag, nil
}

func (b *bucket) Delete(ctx context.Context, keys ...string) error {
	if err := b.Store.Delete(ctx, keys...); err != nil {
		return err
	}
	b.w.note("delete %d from %s on", len(keys), keys[0])
	if head := index.NewChains(b.files()).Head(); head != b.w.model.head() {
		b.w.wrong(fmt.Errorf("after %q were removed the newest moment that can be opened is %s, and was %s", keys, head, b.w.model.head()))
	}
	return nil
}

// files are those of the bucket as they are, whatever a listing says.
func (b *bucket) files() []index.File {
	c, err := index.ListAll(context.Background(), b.Store)
	if err != nil {
		b.w.wrong(err)
		return nil
	}
	return c.Files
}

// weather is how often requests fail.
type weather int

const (
	calm weather = iota
	unsettled
	storm
)

// permille of requests that go wrong.
func (w weather) permille() int { return []int{0, 25, 200}[w] }

// line is one process's way to the bucket. What becomes of a request is decided by what it is and when, not by how many came before it.
type line struct {
	w     *world
	a     *actor
	mu    sync.Mutex
	step  int            // of counts; guarded by mu
	seen  map[string]int // requests of this step by name; guarded by mu
	dead  bool           // the process has died; guarded by mu
	until int            // requests until it dies; 0 is never; guarded by mu
	die   func()         // called once when it does
}

// errDied is what a process gets that is not there any more.
var errDied = errors.New("this process has died")

// depthKey is the key of a context's depth: how many operations the one that makes a request is within.
type depthKey struct{}

// open returns a store on the line.
func (l *line) open(attempts int) objstore.Store {
	return objstore.Retry(faultstore.Wrap(l.w.store, l.plan), objstore.RetryOptions{
		Attempts: attempts, FirstDelay: -1, // pauses are random, and a seed is to replay
	})
}

// plan decides what becomes of a request.
func (l *line) plan(ctx context.Context, c faultstore.Call) faultstore.Action {
	r, dead := l.next(c)
	if dead {
		return faultstore.Action{Mode: faultstore.Refuse, Err: errDied}
	}
	a := l.act(ctx, r, c)
	l.w.journal.add("%s %s %d %s", l.a.name, named(c), a.Mode, a.Delay)
	return a
}

// pause gives a request an instant of its own: requests side by side, and those that have waited for the same thing, come in an order
// that replays. It is long, in nanoseconds, for two of them seldom to choose the same.
func pause(r *rand.Rand) { time.Sleep(time.Duration(r.IntN(20_000_000))) }

// act lets others act before a request, and decides what becomes of it.
func (l *line) act(ctx context.Context, r *rand.Rand, c faultstore.Call) faultstore.Action {
	pause(r)
	depth, inStep := ctx.Value(depthKey{}).(int) // what runs in the background is left alone
	if inStep && l.w.mayInterleave(depth) && r.IntN(10) == 0 {
		l.w.between(ctx, r, depth)
		pause(r)
	}
	if inStep && l.dies() {
		l.w.note("%s dies at %s %s", l.a.name, c.Op, c.Key)
		return faultstore.Action{Mode: []faultstore.Mode{faultstore.Refuse, faultstore.LoseReply}[r.IntN(2)], Err: errDied}
	}
	if c.Op == "put" && strings.HasPrefix(c.Key, "0000/") {
		l.w.note("%s is about to put %s", l.a.name, c.Key)
	}
	return l.fault(r, c)
}

// next names the request and returns the chance that belongs to it.
func (l *line) next(c faultstore.Call) (r *rand.Rand, dead bool) {
	step := int(l.w.stepNo.Load())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.step != step || l.seen == nil {
		l.step, l.seen = step, map[string]int{}
	}
	name := named(c)
	l.seen[name]++
	h := fnv.New64a()
	fmt.Fprint(h, l.a.name, " ", step, " ", name, " ", l.seen[name])
	return rand.New(rand.NewPCG(l.w.seed, h.Sum64())), l.dead
}

// named is a request's name in every run of a seed.
func named(c faultstore.Call) string {
	if strings.Contains(c.Key, "/probe-") { // the rest of it is random
		return c.Op + " probe"
	}
	return c.Op + " " + c.Key
}

// dies counts down to the death of the process.
func (l *line) dies() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == 0 {
		return false
	}
	if l.until--; l.until > 0 {
		return false
	}
	l.die()
	l.dead = true
	return true
}

func (l *line) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// kill makes every request fail from now on.
func (l *line) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead, l.until = true, 0
}

// fault decides what goes wrong with a request.
func (l *line) fault(r *rand.Rand, c faultstore.Call) faultstore.Action {
	permille := l.w.sky().permille()
	if r.IntN(1000) >= permille {
		return faultstore.Action{}
	}
	l.w.counts.faults.Add(1)
	late := time.Duration(1+r.IntN(45_000)) * time.Millisecond
	switch r.IntN(9) {
	case 0, 1:
		return faultstore.Action{Mode: faultstore.Refuse}
	case 2, 3:
		return faultstore.Action{Mode: faultstore.LoseReply}
	case 4:
		return faultstore.Action{Mode: faultstore.Cut}
	case 5:
		return faultstore.Action{Mode: faultstore.Hang}
	case 6:
		return faultstore.Action{Mode: faultstore.LoseReplyAndHang}
	case 7:
		if permille < 100 {
			return faultstore.Action{Mode: faultstore.Refuse, Err: objstore.ErrAccess}
		}
		return faultstore.Action{Mode: faultstore.LoseReply, Delay: late}
	}
	return faultstore.Action{Delay: late}
}
