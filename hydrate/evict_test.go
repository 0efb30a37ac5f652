package hydrate

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// A copy with a limit keeps what is read and forgets what is not, while it is being read.
func TestLazy_Evicts(t *testing.T) {
	t.Parallel()
	if !canPunch {
		t.Skip("holes cannot be punched here")
	}
	for _, size := range []int{4096, 1024} {
		opts := smallPages
		opts.PageSize = size
		r := newReplicaWith(t, new(memstore.Store), 6000, opts)
		path := r.path()
		limit := int64(r.View().Commit) * int64(size) / 4
		c := r.open(Options{Path: path, Mode: Lazy, MaxBytes: limit})
		v := r.View()
		image := r.primary.Image(v.TXID)
		var readers sync.WaitGroup
		var hits, hot [3]int
		for n := range 3 {
			rnd := rand.New(rand.NewPCG(uint64(n), 3))
			readers.Go(func() {
				page := make([]byte, size)
				for i := range 10_000 {
					pgno := 1 + rnd.Uint32N(v.Commit)
					isHot := i%2 == 0
					if isHot {
						pgno = 1 + pgno%(v.Commit/20) // half of all reads go to the first twentieth
					}
					version, _ := v.Version(pgno)
					off := pageOffset(pgno, v.PageSize)
					want := image[off : off+int64(size)]
					switch local := c.ReadPage(v, pgno, version, page); {
					case !local:
						time.Sleep(20 * time.Microsecond) // a fetch
						c.Offer(v, pgno, version, want)
					case !bytes.Equal(page, want):
						t.Errorf("page %d is wrong", pgno)
						return
					case isHot:
						hot[n]++
					default:
						hits[n]++
					}
					if p := c.Progress(); p.Present*int64(size) > limit {
						t.Errorf("%d pages are present, the limit is %d bytes", p.Present, limit)
						return
					}
				}
			})
		}
		readers.Wait()
		if hits := hits[0] + hits[1] + hits[2]; hits == 0 || hot[0]+hot[1]+hot[2] < 2*hits {
			t.Errorf("pages of %d: %v reads of hot pages were local, %v of others", size, hot, hits)
		}
		info, err := os.Stat(path)
		must(t, err)
		if got := allocated(info); got > limit+limit/4+64<<10 {
			t.Errorf("pages of %d: the file takes %d bytes, the limit is %d; %+v", size, got, limit, c.Progress())
		}
		if err := c.Hydrate(); err == nil {
			t.Error("a copy with a limit said that it would take everything")
		}
		if err := c.Wait(t.Context()); !errors.Is(err, ErrNotHydrating) {
			t.Errorf("Wait: %v", err)
		}
		must(t, c.Close())

		d := r.openOnly(Options{Path: path, Mode: Lazy, MaxBytes: limit / 2})
		if n := checkPages(t, d, v, image); n == 0 {
			t.Error("nothing survived the restart")
		}
		must(t, d.Close())
	}
}

// A lazy copy becomes a complete one when asked to.
func TestLazy_Hydrate(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 2000)
	path := r.path()
	var states []State
	c := r.open(Options{Path: path, Mode: Lazy, OnProgress: func(p Progress) {
		if len(states) == 0 || states[len(states)-1] != p.State {
			states = append(states, p.State)
		}
	}})
	v := r.View()
	version, page := fetchPage(t, r.mem, v, 2)
	r.count.reset()
	c.Offer(v, 2, version, page)
	until(t, func() bool { return c.Progress().Present == 1 })
	if n := r.count.gets.Load(); n != 0 || c.Progress().State != Idle {
		t.Errorf("%d GETs, progress %+v", n, c.Progress())
	}
	must(t, c.Hydrate("t"))
	wait(t, c)
	r.checkAll(c, v)
	must(t, c.Close())
	r.checkFile(path, v.TXID)
	if states[0] != Idle || states[len(states)-1] != Closed {
		t.Errorf("states told: %v", states)
	}
}

// Offers and reads of nonsense do no harm.
func TestOffer_OfWhatIsNotWanted(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 300)
	old := r.View()
	r.commit(200)
	v := r.poll(t)
	c := r.open(Options{Path: r.path(), Mode: Lazy})
	for pgno := uint32(1); pgno <= old.Commit; pgno++ {
		version, page := fetchPage(t, r.mem, old, pgno)
		c.Offer(old, pgno, version, page) // right only where nothing has changed since
	}
	version, page := fetchPage(t, r.mem, v, v.Commit)
	c.Offer(v, v.Commit, version, page)
	until(t, func() bool { return c.Progress().Present > 0 && len(c.offers) == 0 })
	checkPages(t, c, v, r.primary.Image(v.TXID))
	checkPages(t, c, old, r.primary.Image(old.TXID))
	buf := make([]byte, v.PageSize)
	for _, pgno := range []uint32{0, v.Commit + 1, v.LockPgno(), 1<<32 - 1} {
		if c.ReadPage(v, pgno, v.TXID, buf) {
			t.Errorf("page %d was served", pgno)
		}
	}
}

func TestOpen_Refuses(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 10)
	for name, opts := range map[string]Options{
		"an unknown mode":     {Mode: 7},
		"a limit on all":      {MaxBytes: 1},
		"a negative limit":    {Mode: Lazy, MaxBytes: -1},
		"a path without dir":  {Path: "/nonexistent/dir/copy.db"},
		"a path that is none": {Path: t.TempDir()},
	} {
		if c, err := Open(context.Background(), r.count, "x", r.View(), r.follower, opts); err == nil {
			t.Errorf("%s was accepted", name)
			c.Close()
		}
	}
}
