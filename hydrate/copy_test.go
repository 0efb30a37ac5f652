package hydrate

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
)

// A copy fills, and is an ordinary database when it is closed.
func TestCopy_BecomesADatabase(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 5000)
	for range 5 {
		r.commit(20)
	}
	r.poll(t)
	path := r.path()
	c := r.open(Options{Path: path})
	wait(t, c)
	r.checkAll(c, r.View())
	if p := c.Progress(); p.State != Complete || p.Percent() != 100 || p.Path != path || p.Temporary {
		t.Errorf("progress %+v", p)
	}
	must(t, c.Close())
	if p := c.Progress(); p.State != Closed {
		t.Errorf("progress %+v", p)
	}
	r.checkFile(path, r.View().TXID)
	if err := c.Wait(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Wait after Close: %v", err)
	}
}

// H1: transactions arrive while the download is blocked half way.
func TestH1_TransactionsDuringHydration(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 6000)
	release := make(chan struct{})
	var once sync.Once
	half := make(chan struct{})
	n := 0
	var mu sync.Mutex
	r.count.hook(func(ctx context.Context, key string, size int64) error {
		mu.Lock()
		n++
		block := n > 2
		mu.Unlock()
		if !block {
			return nil
		}
		once.Do(func() { close(half) })
		select {
		case <-release:
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	path := r.path()
	c := r.open(Options{Path: path, goodRange: 64 << 10})
	<-half
	writer := &follower{store: r.mem}
	writer.Tracker, _ = index.Open(t.Context(), r.mem, index.Options{PollInterval: -1, OnLoad: c.Advance})
	for i := range 100 {
		if i == 50 {
			r.insert(500)
		}
		r.commit(10)
		must(t, writer.Poll(t.Context()))
		v := writer.View()
		checkPages(t, c, v, r.primary.Image(v.TXID))
	}
	v := writer.View()
	arrive(t, c, v.TXID)
	checkPages(t, c, v, r.primary.Image(v.TXID))
	close(release)
	wait(t, c)
	if n := checkPages(t, c, v, r.primary.Image(v.TXID)); n != int(v.Commit) {
		t.Fatalf("%d of %d pages are local", n, v.Commit)
	}
	must(t, c.Close())
	r.checkFile(path, v.TXID)
}
