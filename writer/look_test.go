package writer

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// mergeAway does what a compactor does in an hour: one file holds everything, and the single transactions are gone.
func mergeAway(t *testing.T, store *memstore.Store) index.TXID {
	t.Helper()
	merged, last := mergeAll(t, store)
	f := index.File{Level: 1, Min: 1, Max: last}
	_, err := store.Put(t.Context(), f.Key(), bytes.NewReader(merged.Bytes()), objstore.PutOptions{OnlyCreate: true})
	must(t, err)
	for txid := index.TXID(1); txid <= last; txid++ {
		single := index.File{Min: txid, Max: txid}
		must(t, store.Delete(t.Context(), single.Key()))
	}
	return last
}

// TestSim_NameIsFreeAgain: another writer took the next transaction, and compaction has removed the object that stood for it. A create-only put
// succeeds then, and would put an old state among newer ones.
func TestSim_NameIsFreeAgain(t *testing.T) {
	t.Parallel()
	for name, sealed := range map[string]bool{"nothing was sent before": false, "a put had failed before": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mem, b := new(memstore.Store), new(breaker)
				d := newDatabase(t, b.wrap(mem), testOptions(t))
				d.commit(3, 2)
				d.sync()
				d.commit(3, 3)
				if sealed {
					b.down.Store(true)
					wantErr(t, d.Sync(t.Context()), ErrStoreDown)
					b.down.Store(false)
				}
				foreignCommit(t, mem)
				last := mergeAway(t, mem)
				time.Sleep(10 * time.Minute) // nobody polls
				wantErr(t, d.Sync(t.Context()), ErrConflict)
				for _, key := range mem.Keys() {
					if strings.HasPrefix(key, "0000/") {
						t.Errorf("%s is below the head, %s", key, last)
					}
				}
				must(t, d.Acquire(t.Context()))
				if got := d.DurableTXID(); got != last {
					t.Errorf("after the conflict at %s, want %s", got, last)
				}
			})
		})
	}
}

// TestSim_SealedAndAcquiredAgain: a process loses its lease with an upload that has failed, somebody else goes on, and it becomes the writer
// again just now.
func TestSim_SealedAndAcquiredAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem, b := new(memstore.Store), new(breaker)
		d := newDatabase(t, b.wrap(mem), testOptions(t))
		d.commit(3, 2)
		d.sync()
		d.commit(3, 3)
		b.down.Store(true)
		wantErr(t, d.Sync(t.Context()), ErrStoreDown)
		b.down.Store(false)
		foreignCommit(t, mem)
		last := mergeAway(t, mem)
		time.Sleep(2 * time.Hour) // the lease runs out
		wantErr(t, d.Acquire(t.Context()), ErrConflict)
		must(t, d.Acquire(t.Context()))
		if got := d.DurableTXID(); got != last {
			t.Errorf("the writer begins at %s, want %s", got, last)
		}
		if _, err := mem.ReadPrefix(t.Context(), objstore.Ref{Key: (&index.File{Min: last, Max: last}).Key()}, 1); err == nil {
			t.Errorf("txid %s was put although the bucket had it", last)
		}
	})
}

// TestSim_StoredAndAcquiredAgain: an upload arrived, and before its sender knew he lost his lease and others went on. When he becomes the writer
// again he begins with what they have left.
func TestSim_StoredAndAcquiredAgain(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]bool{"nothing is pending": false, "more was committed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mem := new(memstore.Store)
				d := newDatabase(t, mem, testOptions(t))
				d.commit(3, 2)
				d.sync()
				d.commit(3, 3)
				d.replica.Store(&follower{blind{d.replica.Load().Replica}})
				if err := d.Sync(t.Context()); err != nil {
					t.Fatal(err) // it is there, if not to be seen yet
				}
				if more {
					d.commit(3, 2)
				}
				d.replica.Store(&follower{d.replica.Load().Replica.(blind).Replica})
				last := foreignCommit(t, mem)
				time.Sleep(2 * time.Hour)
				if more {
					wantErr(t, d.Acquire(t.Context()), ErrConflict)
				}
				must(t, d.Acquire(t.Context()))
				if got := d.DurableTXID(); got != last || d.Snapshot().Base().TXID != last {
					t.Errorf("the writer begins at %s, with a Snapshot of %s, want %s", got, d.Snapshot().Base().TXID, last)
				}
			})
		})
	}
}

// blind is a Replica that cannot see what was just uploaded.
type blind struct{ Replica }

func (b blind) Adopt(context.Context, index.File, io.ReaderAt) (*index.View, error) {
	return nil, objstore.ErrTemporary
}

func (b blind) Refresh(context.Context) error { return objstore.ErrTemporary }

// TestSim_PutThatTookTooLong: between the look and the end of the put the other writer came, and compaction after him.
func TestSim_PutThatTookTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := new(memstore.Store)
		var slow atomic.Bool
		store := faultstore.Wrap(mem, func(_ context.Context, c faultstore.Call) faultstore.Action {
			if c.Op == "put" && strings.HasPrefix(c.Key, "0000/") && slow.CompareAndSwap(true, false) {
				time.Sleep(time.Second)
				foreignCommit(t, mem)
				mergeAway(t, mem)
				return faultstore.Action{Delay: time.Hour / 2}
			}
			return faultstore.Action{}
		})
		d := newDatabase(t, store, testOptions(t))
		d.commit(3, 2)
		d.sync()
		d.commit(3, 3)
		slow.Store(true)
		wantErr(t, d.Sync(t.Context()), ErrConflict)
		for _, key := range mem.Keys() {
			if strings.HasPrefix(key, "0000/") {
				t.Errorf("%s was left below the head", key)
			}
		}
	})
}

// TestSim_ListingIsLate: a writer gives its lease back, and the next one begins before the listing shows what it has uploaded.
func TestSim_ListingIsLate(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"opened on a replica": false, "opened on nothing": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDatabase(t, faultstore.ListLate(new(memstore.Store), time.Minute), testOptions(t))
				var next *database
				if early {
					next = d.other("next")
				}
				d.commit(3, 2)
				d.sync()
				time.Sleep(2 * time.Minute)
				if !early {
					next = d.other("next")
				}
				d.commit(3, 3)
				d.sync()
				must(t, d.Release(t.Context()))
				must(t, next.Acquire(t.Context()))
				if got := next.DurableTXID(); got != 2 {
					t.Fatalf("the next writer begins at %s, want 2", got)
				}
			})
		})
	}
}

// TestSim_ProbeTriedAgain: retries below the writer must not make a store look as if it ignored conditions.
func TestSim_ProbeTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for n := range int64(8) {
			mem := new(memstore.Store)
			mode := []faultstore.Mode{faultstore.Refuse, faultstore.LoseReply}[n%2]
			store := objstore.Retry(faultstore.FailNth(n/2).As(mode).On("put").Wrap(mem), objstore.RetryOptions{})
			opts := testOptions(t)
			w, err := tryOpen(store, mem, opts)
			must(t, err)
			if err := w.Acquire(t.Context()); err != nil {
				t.Errorf("put %d lost its answer: %v", n/2, err)
			}
			must(t, w.Close(t.Context()))
		}
	})
}
