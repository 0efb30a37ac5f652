package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/internal/kills"
)

// compactorChild makes the test binary compact a replica, to be killed or stopped while it does: a URL and a directory for its temporary
// files, with a space between them.
const compactorChild = "INTEGRATION_COMPACTOR_CHILD"

// compactForEver does what is due as soon as it is, and says so.
func compactForEver(job string) error {
	url, dir, _ := strings.Cut(job, " ")
	store, _, err := litefss3.OpenStore(context.Background(), litefss3.Config{ReplicaURL: url})
	if err != nil {
		return err
	}
	opts := soakLevels
	opts.TempDir = dir
	c, err := compact.New(store, opts)
	if err != nil {
		return err
	}
	fmt.Println("begins")
	for {
		r, err := c.Once(context.Background())
		if err != nil { // another one may have been quicker; what is wrong is seen by those who read
			fmt.Println("error", err)
		}
		if r != nil && len(r.Made)+len(r.Deleted) > 0 {
			fmt.Println("did", len(r.Made), len(r.Deleted))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestC4_KilledCompactors lets two processes compact one replica, which are killed, and stopped for longer than they have to leave
// files to those who read from them. A writer, readers and time travellers notice nothing, and in the end one run tidies up.
func TestC4_KilledCompactors(t *testing.T) {
	t.Parallel()
	s, db := openSoak(t, "apps/compactors-killed")
	wanted := max(kills.Count(t, 8), 4)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var victims, others sync.WaitGroup
	for _, work := range []func(context.Context){func(ctx context.Context) { s.write(ctx, db) }, s.read, s.travel} {
		others.Go(func() { work(ctx) })
	}
	var all tally
	for _, n := range []int{wanted / 2, wanted - wanted/2} {
		victims.Go(func() { s.killCompactors(n, &all) })
	}
	victims.Wait()
	stop()
	others.Wait()
	if t.Failed() {
		return
	}
	compactor, err := compact.New(s.store, soakLevels)
	if err != nil {
		t.Fatal(err)
	}
	s.end(db, compactor)
	t.Logf("%s: %s; %d transactions, %d reads, %d travels, %d expired", time.Since(s.begin).Round(time.Second), &all,
		len(s.dumps), s.reads.Load(), s.travels.Load(), s.expired.Load())
	if s.reads.Load() == 0 {
		t.Error("nobody read: the test tests nothing")
	}
}

// tally is what became of processes.
type tally struct {
	mu                        sync.Mutex
	kills, stops, did, errors int // guarded by mu
}

func (a *tally) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("%d kills, %d of them after a stop, %d runs that did something, %d errors", a.kills, a.stops, a.did, a.errors)
}

// idle reports whether nobody has compacted anything yet.
func (a *tally) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.did == 0
}

// count adds what a process has said.
func (a *tally) count(line string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case strings.HasPrefix(line, "did"):
		a.did++
	case strings.HasPrefix(line, "error"):
		a.errors++
	}
}

// killCompactors starts one process after the other, until n have been killed and one of all has done something. Every fourth is stopped before, for longer than a grace.
func (s *soak) killCompactors(n int, all *tally) {
	dir := s.t.TempDir()
	for i := 0; (i < n || all.idle()) && !s.t.Failed(); i++ {
		c := startChild(s.t, compactorChild, s.url+" "+dir)
		if !c.lines.Scan() || c.lines.Text() != "begins" {
			s.t.Errorf("the compactor says: %s", c.lines.Text())
			return
		}
		var said sync.WaitGroup
		said.Go(func() {
			for c.lines.Scan() {
				all.count(c.lines.Text())
			}
		})
		time.Sleep(rand.N(1200 * time.Millisecond))
		stopped := i%4 == 1
		if stopped {
			c.signal(s.t, syscall.SIGSTOP)
			time.Sleep(soakLevels.Grace + rand.N(2*time.Second))
			c.signal(s.t, syscall.SIGCONT)
			time.Sleep(rand.N(500 * time.Millisecond))
		}
		c.Process.Kill()
		said.Wait()
		c.kill()
		all.mu.Lock()
		all.kills++
		if stopped {
			all.stops++
		}
		all.mu.Unlock()
	}
}
