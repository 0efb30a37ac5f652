package writer

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/writer/lease"
)

// wantConflict checks that err is a conflict with a log that was set aside, and that the log holds so many commits.
func wantConflict(t *testing.T, err error, commits int) *ConflictError {
	t.Helper()
	var c *ConflictError
	if !errors.As(err, &c) {
		t.Fatalf("got error %v, want a conflict", err)
	}
	if c.Commits != commits || (c.SetAside == "") != (commits == 0) {
		t.Fatalf("conflict with %d commits in %q, want %d", c.Commits, c.SetAside, commits)
	}
	if commits == 0 {
		return c
	}
	a, err := ReadAside(c.SetAside)
	must(t, err)
	defer a.Close()
	if len(a.Commits) != commits || a.Damage != nil || a.Replica != "mem" {
		t.Fatalf("set aside: %d commits of %s, damage %v", len(a.Commits), a.Replica, a.Damage)
	}
	return c
}

// TestW3_PausedWriter: A sleeps in the middle of a put for longer than its lease; B takes over and commits; A wakes up.
func TestW3_PausedWriter(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	var now atomic.Int64
	clock := func() time.Time { return time.Unix(1_800_000_000+now.Load(), 0) }
	inPut, goOn := make(chan struct{}), make(chan struct{})
	var armed atomic.Bool
	store := faultstore.Wrap(mem, func(_ context.Context, c faultstore.Call) faultstore.Action {
		if c.Op == "put" && strings.HasSuffix(c.Key, ".ltx") && armed.CompareAndSwap(true, false) {
			close(inPut)
			<-goOn
		}
		return faultstore.Action{}
	})
	opts := testOptions(t)
	opts.Clock, opts.Owner, opts.LeaseTTL = clock, "a", 30*time.Second
	a := newDatabase(t, store, opts)
	a.mem = mem
	a.commit(5, 2, 3)
	a.sync()
	b := a.other("b")
	var held *LeaseHeldError
	if err := b.Acquire(t.Context()); !errors.As(err, &held) || held.Owner != "a" {
		t.Fatalf("B got the lease: %v", err)
	}
	armed.Store(true)
	a.commit(5, 2)
	a.commit(6, 4)
	before, size := a.now, a.size
	failed := make(chan error)
	go func() { failed <- a.Sync(context.Background()) }()
	<-inPut
	now.Add(31)
	must(t, b.Acquire(t.Context()))
	wantErr(t, a.try(6, 2), ErrLeaseLost)
	b.commit(5, 3)
	b.sync()
	close(goOn)
	c := wantConflict(t, <-failed, 2)
	if c.TXID != 2 || c.Key != "0000/0000000000000002-0000000000000002.ltx" {
		t.Errorf("conflict over %s, %s", c.TXID, c.Key)
	}
	wantErr(t, a.try(6, 2), ErrConflict)
	wantErr(t, a.Sync(t.Context()), ErrConflict)
	wantErr(t, a.Err(), ErrConflict)

	must(t, a.replica.Load().Refresh(t.Context())) // A's readers go on with the bucket
	checkSnapshot(t, mem, a.Snapshot(), b.now, b.size)
	b.check()
	checkBucket(t, mem, b.now, b.size)
	checkAside(t, mem, c.SetAside, before, size)

	b.commit(7)
	must(t, b.Close(t.Context()))
	must(t, a.Acquire(t.Context())) // begins again, from what the bucket has
	a.now, a.size = b.now, b.size
	a.check()
	a.commit(8, 2)
	a.sync()
	a.check()
	checkBucket(t, mem, a.now, a.size)
	must(t, a.Close(t.Context()))
}

// checkAside applies a log that was set aside to the database it goes on from, and compares every page.
func checkAside(t *testing.T, mem *memstore.Store, path string, want image, size uint32) {
	t.Helper()
	a, err := ReadAside(path)
	must(t, err)
	defer a.Close()
	var file bytes.Buffer
	must(t, a.WriteLTX(&file))
	branch := new(memstore.Store)
	for _, o := range mem.Objects() {
		if strings.HasPrefix(o.Key, "0000/") && o.Key <= "0000/"+a.Base.String()+"~" {
			_, err := branch.Put(t.Context(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{})
			must(t, err)
		}
	}
	_, err = branch.Put(t.Context(), "0000/"+ltx.FormatFilename(a.Base+1, a.Base+1), &readSeeker{bytes.NewReader(file.Bytes())}, objstore.PutOptions{})
	must(t, err)
	checkBucket(t, branch, want, size)
	for _, c := range a.Commits {
		n := 0
		for page, err := range c.Pages() {
			must(t, err)
			if len(page) != int(a.PageSize) {
				t.Fatalf("page of %d bytes", len(page))
			}
			n++
		}
		if n != len(c.Pgnos) {
			t.Fatalf("%d pages of %d", n, len(c.Pgnos))
		}
	}
}

type readSeeker struct{ *bytes.Reader }

// TestW3_ClockSkew: a clock that is wrong by ten minutes makes two writers. One of them wins each TXID, the other one stops.
func TestW3_ClockSkew(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		for _, first := range []string{"a", "b"} {
			mem := new(memstore.Store)
			opts := testOptions(t)
			opts.LeaseTTL = 30 * time.Second
			a := newDatabase(t, mem, opts)
			a.commit(5, 2, 3)
			a.sync()
			b := a.other("b")
			b.Writer.opts.Clock = func() time.Time { return time.Now().Add(skew) }
			if skew < 0 { // A's lease looks endless to B: somebody breaks it
				var held *LeaseHeldError
				if err := b.Acquire(t.Context()); !errors.As(err, &held) || time.Until(held.Expires) < 0 {
					t.Fatalf("B got %v", err)
				}
				_, err := lease.Break(t.Context(), mem)
				must(t, err)
			}
			must(t, b.Acquire(t.Context()))
			a.commit(5, 2)
			b.commit(5, 3)
			winner, loser := a, b
			if first == "b" {
				winner, loser = b, a
			}
			winner.sync()
			wantConflict(t, loser.Sync(t.Context()), 1)
			winner.check()
			checkBucket(t, mem, winner.now, winner.size)
			if err := a.renew(t.Context()); first == "a" {
				wantErr(t, err, ErrLeaseLost) // B has it
			}
			winner.check()
			checkBucket(t, mem, winner.now, winner.size)
		}
	}
}

// TestW3_LeaseLost: who has lost the lease commits nothing, keeps what is committed, and goes on when nobody else wrote.
func TestW3_LeaseLost(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	var now atomic.Int64
	clock := func() time.Time { return time.Unix(1_800_000_000+now.Load(), 0) }
	opts := testOptions(t)
	opts.Clock, opts.LeaseTTL = clock, 30*time.Second
	var down atomic.Bool
	a := newDatabase(t, faultstore.Wrap(mem, func(_ context.Context, c faultstore.Call) faultstore.Action {
		if c.Op == "put" && down.Load() {
			return faultstore.Action{Mode: faultstore.Refuse}
		}
		return faultstore.Action{}
	}), opts)
	a.mem = mem
	a.commit(5, 2, 3)
	a.sync()
	a.commit(5, 2)
	now.Add(31) // it slept, and nobody wanted the lease
	a.commit(5, 2)
	now.Add(31)
	a.sync()

	a.commit(5, 2)
	now.Add(31) // the renewal under way when Run ends, as when the database is closed, says nothing of the lease
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.renew(cancelled); err == nil {
		t.Fatal("renewed without a context")
	}
	a.commit(5, 3)
	a.sync()

	a.commit(5, 2)
	down.Store(true)
	now.Add(31)
	if err := a.renew(t.Context()); err == nil {
		t.Fatal("renewed although the store is down")
	}
	wantErr(t, a.try(5, 2), ErrLeaseLost) // at once: that it cannot be renewed is known
	wantErr(t, a.Sync(t.Context()), ErrLeaseLost)
	down.Store(false)
	must(t, a.renew(t.Context()))
	a.commit(5, 3)
	a.sync()

	a.commit(5, 4)
	now.Add(31)
	b := a.other("b")
	must(t, b.Acquire(t.Context()))
	wantErr(t, a.renew(t.Context()), ErrLeaseLost)
	wantErr(t, a.try(5, 2), ErrLeaseLost)
	var held *LeaseHeldError
	if err := a.Acquire(t.Context()); !errors.As(err, &held) || held.Owner != "b" {
		t.Fatalf("A got the lease: %v", err)
	}
	must(t, b.Release(t.Context())) // without having written
	must(t, a.Acquire(t.Context()))
	a.check()
	a.sync()
	a.check()
	checkBucket(t, mem, a.now, a.size)

	a.commit(5, 4)
	now.Add(31)
	must(t, b.Acquire(t.Context()))
	b.now, b.size = image{}, 0
	b.now, b.size = mapBucket(t, mem)
	b.commit(5, 3)
	must(t, b.Release(t.Context()))
	wantConflict(t, a.Acquire(t.Context()), 1)
	must(t, a.Acquire(t.Context()))
	checkSnapshot(t, mem, a.Snapshot(), b.now, b.size)
}

// mapBucket is what the bucket holds, as an oracle.
func mapBucket(t *testing.T, mem *memstore.Store) (image, uint32) {
	t.Helper()
	file, _ := restore(t, mem)
	now := image{}
	for n := 0; n < len(file)/testPageSize; n++ {
		now[uint32(n+1)] = file[n*testPageSize : (n+1)*testPageSize]
	}
	return now, uint32(len(now))
}

// TestW3_LeaseDeleted: the lease object is deleted by hand.
func TestW3_LeaseDeleted(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	a := newDatabase(t, mem, testOptions(t))
	a.commit(5, 2)
	must(t, mem.Delete(t.Context(), lease.Key))
	must(t, a.renew(t.Context()))
	i, ok, err := lease.Show(t.Context(), mem)
	must(t, err)
	if !ok || i.Generation != 2 {
		t.Fatalf("lease %+v", i)
	}
	a.commit(5, 2)
	a.sync()
	must(t, mem.Delete(t.Context(), lease.Key))
	b := a.other("b")
	must(t, b.Acquire(t.Context()))
	wantErr(t, a.renew(t.Context()), ErrLeaseLost)
}

// TestForeignWriter: somebody who does not know of the lease goes on with the chain.
func TestForeignWriter(t *testing.T) {
	t.Parallel()
	for _, pending := range []int{0, 1} {
		mem := new(memstore.Store)
		d := newDatabase(t, mem, testOptions(t))
		d.commit(5, 2, 3)
		d.sync()
		if pending > 0 {
			d.commit(5, 3)
		}
		foreignCommit(t, mem)
		must(t, d.replica.Load().Refresh(t.Context()))
		err := d.try(5, 2)
		wantErr(t, err, ErrForeignWriter)
		wantConflict(t, err, pending)
		wantConflict(t, d.Sync(t.Context()), pending)
		must(t, d.tick(t.Context()))
		now, size := mapBucket(t, mem)
		checkSnapshot(t, mem, d.Snapshot(), now, size)
	}
}

// TestForeignWriter_MetAtUpload: the same, when the upload meets it before a poll does.
func TestForeignWriter_MetAtUpload(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	d := newDatabase(t, mem, testOptions(t))
	d.commit(5, 2, 3)
	d.sync()
	d.commit(5, 3)
	tx, _, err := d.write(5, 4)
	must(t, err)
	foreignCommit(t, mem)
	wantConflict(t, d.Sync(t.Context()), 1)
	_, err = tx.Commit(t.Context(), 5)
	wantErr(t, err, ErrConflict)
	wantErr(t, d.Acquire(t.Context()), ErrBusy) // the transaction is still there
	tx.Rollback()
	must(t, d.Acquire(t.Context())) // its own lease
	d.now, d.size = mapBucket(t, mem)
	d.check()
	d.commit(5, 3)
	d.sync()
	checkBucket(t, mem, d.now, d.size)
}

// TestHandOver: a process that waits gets the lease when it is released, and sees everything.
func TestHandOver(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	a := newDatabase(t, mem, testOptions(t))
	a.commit(5, 2, 3)
	b := a.other("b")
	b.Writer.opts.LeaseTTL = 10 * time.Second // it looks again ten times as often, once a second at least
	got := make(chan error)
	go func() { got <- b.AcquireWait(context.Background()) }()
	a.commit(5, 4)
	must(t, a.Release(t.Context()))
	must(t, <-got)
	b.now, b.size = a.now, a.size
	b.check()
	wantErr(t, a.try(5, 2), ErrReadOnly)
	checkSnapshot(t, mem, a.Snapshot(), b.now, b.size)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantErr(t, a.AcquireWait(ctx), context.DeadlineExceeded)
}

// TestW3_TransactionOverTakeOver: a transaction that was open while the lease expired and somebody else wrote is never committed, not even
// when the lease was acquired again: its reads were of another state.
func TestW3_TransactionOverTakeOver(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	var now atomic.Int64
	opts := testOptions(t)
	opts.Clock, opts.LeaseTTL = func() time.Time { return time.Unix(1_800_000_000+now.Load(), 0) }, 30*time.Second
	a := newDatabase(t, mem, opts)
	a.commit(5, 2, 3)
	a.sync()
	tx, _, err := a.write(5, 2)
	must(t, err)
	now.Add(31)
	b := a.other("b")
	must(t, b.Acquire(t.Context()))
	b.commit(5, 3)
	must(t, b.Release(t.Context()))
	wantErr(t, a.Acquire(t.Context()), ErrBusy)
	if _, err := tx.Commit(t.Context(), 5); err == nil {
		t.Fatal("a commit over somebody else's")
	}
	tx.Rollback()
	must(t, a.Acquire(t.Context()))
	checkSnapshot(t, mem, a.Snapshot(), b.now, b.size)
	if _, err := tx.Commit(t.Context(), 5); err == nil {
		t.Fatal("a commit after the end")
	}
}
