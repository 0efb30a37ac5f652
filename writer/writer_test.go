package writer

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// TestLife is one database from its first page on: commits, uploads, growth, shrink, a crash, another process.
func TestLife(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	d := newDatabase(t, store, testOptions(t))
	if s := d.Snapshot(); s.Base() != nil || s.Commit() != 0 || s.PageSize() != 0 {
		t.Fatalf("an empty replica has %d pages of %d bytes", s.Commit(), s.PageSize())
	}
	d.commit(3, 2, 3)
	d.check()
	d.commit(9, 5) // 4, 6, 7, 8, 9 grow and are never written
	d.check()
	before := d.Snapshot()
	if d.DurableTXID() != 0 || d.Pending().Commits != 2 || d.Pending().Pages != 9 {
		t.Fatalf("before the first upload: txid %s, %+v", d.DurableTXID(), d.Pending())
	}
	d.sync()
	if d.DurableTXID() != 1 || d.Pending() != (Pending{}) || d.Snapshot().Base() == nil {
		t.Fatalf("after the first upload: txid %s, %+v", d.DurableTXID(), d.Pending())
	}
	if got := d.Snapshot().Counter(); got != before.Counter() {
		t.Fatalf("an upload moved the counter from %x to %x", before.Counter(), got)
	}
	d.check()
	checkBucket(t, store, d.now, d.size)
	d.commit(4, 2)
	d.commit(6)
	d.check()
	d.sync()
	d.check()
	checkBucket(t, store, d.now, d.size)

	d.commit(8, 7)
	d.crash()
	d.open()
	d.check()
	if d.Pending().Commits != 1 {
		t.Fatalf("after a crash: %+v", d.Pending())
	}
	wantErr(t, d.try(8, 2), ErrReadOnly)
	must(t, d.Acquire(t.Context())) // at once: the log knows that its former owner is dead
	d.commit(8, 2)
	must(t, d.Close(t.Context()))
	if txid := checkBucket(t, store, d.now, d.size); txid != 3 {
		t.Fatalf("txid %s, want 3", txid)
	}
	d.open()
	d.check()
}

// TestCounter: one more for each commit, the same over uploads, another one when the bucket has moved.
func TestCounter(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	d := newDatabase(t, store, testOptions(t))
	shown := map[uint32]bool{}
	last := d.Snapshot().Counter()
	for n := range 20 {
		d.commit(3, 2, 3)
		if got := d.Snapshot().Counter(); got != last+1 || got>>31 != 1 {
			t.Fatalf("counter %x after %x", got, last)
		}
		last = d.Snapshot().Counter()
		shown[last] = true
		if n%3 == 0 {
			d.sync()
		}
		if got := d.Snapshot().Counter(); got != last {
			t.Fatalf("an upload moved the counter from %x to %x", last, got)
		}
	}
	must(t, d.Release(t.Context()))
	for range 5 {
		foreignCommit(t, store)
		must(t, d.replica.Load().Refresh(t.Context()))
		got := d.Snapshot().Counter()
		if shown[got] || got>>31 != 1 {
			t.Fatalf("counter %x was shown before", got)
		}
		shown[got] = true
	}
	d.now[2] = bytes.Repeat([]byte{0xf0}, testPageSize)
	d.check()
	must(t, d.Acquire(t.Context()))
	d.commit(3)
	if got := d.Snapshot().Counter(); shown[got] {
		t.Fatalf("counter %x was shown before", got)
	}
	d.sync()
	d.check()
}

// TestBegin: one transaction at a time, on the newest state, by the writer.
func TestBegin(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	opts := testOptions(t)
	opts.Owner = "first"
	d := newDatabase(t, store, opts)
	d.commit(3, 2, 3)
	stale := d.Snapshot()
	tx, err := d.Begin(context.Background(), stale)
	must(t, err)
	_, err = d.Begin(context.Background(), stale)
	wantErr(t, err, ErrBusy)
	must(t, tx.WritePage(2, d.page(2)))
	tx.Rollback()
	tx.Rollback()
	d.check()
	wantErr(t, tx.WritePage(2, d.page(2)), errDone)
	d.sync()
	tx, err = d.Begin(context.Background(), stale) // an upload makes nothing stale
	must(t, err)
	tx.Rollback()
	d.commit(3, 2)
	_, err = d.Begin(context.Background(), stale)
	wantErr(t, err, ErrStale)
	checkSnapshot(t, store, d.Snapshot(), d.now, d.size)

	other := d.other("second")
	_, err = other.Begin(context.Background(), other.Snapshot())
	wantErr(t, err, ErrReadOnly)
	var held *LeaseHeldError
	if err := other.Acquire(t.Context()); !errors.As(err, &held) || held.Owner != "first" {
		t.Fatalf("the second writer got %v", err)
	}
	_, err = other.Begin(context.Background(), other.Snapshot())
	if !errors.As(err, &held) || held.Owner != "first" {
		t.Fatalf("Begin does not name the holder: %v", err)
	}
}

// TestOldSnapshots: what a reader holds stays readable and the same, whatever is uploaded and trimmed meanwhile.
func TestOldSnapshots(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	opts := testOptions(t)
	opts.segmentSize = 20 << 10 // so that segments come and go
	d := newDatabase(t, store, opts)
	type held struct {
		s    *Snapshot
		now  image
		size uint32
	}
	var all []held
	for n := range 200 {
		must(t, d.commitSome())
		if n%10 == 0 {
			d.sync()
		}
		if n%7 == 0 {
			all = append(all, held{d.Snapshot(), d.now, d.size})
		}
	}
	d.sync()
	segments, err := filepath.Glob(filepath.Join(opts.LogPath, "log", "*"))
	must(t, err)
	if len(segments) != 1 {
		t.Errorf("%d segments are left although everything is uploaded", len(segments))
	}
	for _, h := range all {
		checkSnapshot(t, store, h.s, h.now, h.size)
	}
	checkBucket(t, store, d.now, d.size)
}

func TestClose_Unsynced(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	broken := new(breaker)
	d := newDatabase(t, broken.wrap(store), testOptions(t))
	d.mem = store
	d.commit(3, 2, 3)
	broken.down.Store(true)
	var unsynced *UnsyncedError
	err := d.Close(t.Context())
	if !errors.As(err, &unsynced) || unsynced.Commits != 1 || unsynced.Pages != 3 || unsynced.LogPath != d.opts.LogPath || !errors.Is(err, ErrStoreDown) {
		t.Fatalf("Close: %v", err)
	}
	broken.down.Store(false)
	d.open()
	d.check()
	must(t, d.Acquire(context.Background()))
	must(t, d.Close(t.Context()))
	if checkBucket(t, store, d.now, d.size) != index.TXID(1) {
		t.Fatal("not uploaded")
	}
}
