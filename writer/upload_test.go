package writer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// firsts remembers what each LTX object was when it was first stored.
type firsts map[string][]byte

func (f firsts) look(t *testing.T, store *memstore.Store) {
	t.Helper()
	for _, o := range store.Objects() {
		if _, _, _, ok := index.ParseKey(o.Key); !ok {
			continue
		}
		if first, ok := f[o.Key]; ok && !bytes.Equal(first, o.Data) {
			t.Fatalf("%s has changed after it was first stored", o.Key)
		}
		f[o.Key] = o.Data
	}
}

// TestW4_LostReplies: whatever becomes of a put, each TXID is used once, in order, and nothing is lost.
func TestW4_LostReplies(t *testing.T) {
	t.Parallel()
	modes := []faultstore.Mode{
		faultstore.Refuse, faultstore.LoseReply, faultstore.Hang, faultstore.LoseReplyAndHang, faultstore.Cut, faultstore.Drop, faultstore.Truncate,
	}
	whole := modes[:len(modes)-1] // the last one leaves half an object, which is replaced, and is all that a reader sees until then
	t.Run("mode=all", func(t *testing.T) {
		t.Parallel()
		lostReplies(t, whole, 500, false)
	})
	t.Run("mode=all/crash", func(t *testing.T) {
		t.Parallel()
		lostReplies(t, whole, 100, true)
	})
	for i, mode := range modes {
		t.Run(fmt.Sprintf("mode=%d", mode), func(t *testing.T) {
			t.Parallel()
			lostReplies(t, modes[i:i+1], 60, false)
		})
	}
}

func lostReplies(t *testing.T, modes []faultstore.Mode, batches int, crash bool) {
	rng := rand.New(rand.NewPCG(uint64(modes[0]), uint64(batches)))
	mem := new(memstore.Store)
	var puts, gets, mode atomic.Int64 // how many of the next ones fail, and how
	store := faultstore.Wrap(mem, func(_ context.Context, c faultstore.Call) faultstore.Action {
		ltxFile := strings.HasSuffix(c.Key, ".ltx")
		switch {
		case ltxFile && c.Op == "put" && puts.Add(-1) >= 0:
			return faultstore.Action{Mode: faultstore.Mode(mode.Load())}
		case ltxFile && c.Op == "get" && gets.Add(-1) >= 0:
			return faultstore.Action{Mode: faultstore.Refuse}
		}
		return faultstore.Action{}
	})
	d := newDatabase(t, store, testOptions(t))
	d.mem = mem
	seen := firsts{}
	for n := range batches {
		mode.Store(int64(modes[rng.IntN(len(modes))]))
		for range 1 + rng.IntN(3) {
			must(t, d.commitSome())
		}
		puts.Store(int64(rng.IntN(3)))
		gets.Store(int64(rng.IntN(2)))
		for tries := 0; ; tries++ {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Millisecond)
			if puts.Load() <= 0 {
				ctx = context.Background()
			}
			err := d.Sync(ctx)
			cancel()
			if modes[0] != faultstore.Truncate {
				seen.look(t, mem)
			}
			if err == nil {
				break
			}
			if tries > 20 || errors.Is(err, ErrConflict) {
				t.Fatalf("batch %d: %v", n, err)
			}
			d.check()
			if crash {
				puts.Store(0)
				gets.Store(0)
				d.crash()
				d.open()
				must(t, d.Acquire(t.Context()))
				d.check()
			}
			if rng.IntN(2) == 0 {
				must(t, d.commitSome()) // belongs to the next TXID
			}
		}
		d.check()
	}
	if txid := checkBucket(t, mem, d.now, d.size); int(txid) < batches {
		t.Fatalf("%d batches ended at txid %s", batches, txid)
	}
}

// TestW5_BucketDown: uploads that fail can be seen, push back at the limit, and go on when the bucket is there again.
func TestW5_BucketDown(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	broken := new(breaker)
	opts := testOptions(t)
	opts.MaxPending = 100 << 10
	opts.segmentSize = 20 << 10
	d := newDatabase(t, broken.wrap(mem), opts)
	d.mem = mem
	d.commit(5, 2, 3)
	d.sync()
	broken.down.Store(true)
	commits := 0
	for {
		err := d.try(20, 2, 3, 4)
		if errors.Is(err, ErrLogFull) {
			if commits < 10 || !errors.Is(err, ErrStoreDown) {
				t.Fatalf("after %d commits: %v", commits, err)
			}
			break
		}
		must(t, err)
		commits++
		wantErr(t, d.Sync(t.Context()), ErrStoreDown)
		wantErr(t, d.Err(), ErrStoreDown)
	}
	if p := d.Pending(); p.Bytes > opts.MaxPending+8<<10 || p.Commits != commits || d.DurableTXID() != 1 {
		t.Fatalf("pending %+v", p)
	}
	d.check()
	broken.down.Store(false)
	d.sync()
	must(t, d.Err())
	d.commit(20, 2)
	d.sync()
	d.check()
	if txid := checkBucket(t, mem, d.now, d.size); txid > 4 {
		t.Errorf("%d commits took %d files", commits, txid)
	}
}

// TestW7_Header: what Litestream asks of a file that it is to adopt.
func TestW7_Header(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	clock := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	opts := testOptions(t)
	opts.Clock = func() time.Time { return clock }
	d := newDatabase(t, store, opts)
	for _, step := range []time.Duration{0, time.Second, -time.Hour, time.Second} {
		clock = clock.Add(step)
		must(t, d.renew(t.Context()))
		d.commit(3, 2)
		d.sync()
	}
	last := int64(0)
	for _, o := range store.Objects() {
		_, txid, _, ok := index.ParseKey(o.Key)
		if !ok {
			continue
		}
		h, _, err := ltx.DecodeHeader(bytes.NewReader(o.Data))
		must(t, err)
		want := ltx.Header{
			Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: testPageSize, Commit: 3, MinTXID: txid, MaxTXID: txid,
			Timestamp: h.Timestamp, WALOffset: 32,
		}
		if h != want {
			t.Errorf("%s: header %+v, want %+v", o.Key, h, want)
		}
		if h.Timestamp < last || !o.Timestamp.Equal(time.UnixMilli(h.Timestamp)) {
			t.Errorf("%s: time %d after %d, stored as %v", o.Key, h.Timestamp, last, o.Timestamp)
		}
		last = h.Timestamp
	}
	if last != time.Date(2026, 1, 2, 3, 4, 6, 678_000_000, time.UTC).UnixMilli() {
		t.Errorf("the last time is %v", time.UnixMilli(last).UTC())
	}
}

// TestW11_StoreDrops: a store that says yes and keeps nothing does not move the durable TXID.
func TestW11_StoreDrops(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	var drop atomic.Bool
	store := faultstore.Wrap(mem, func(_ context.Context, c faultstore.Call) faultstore.Action {
		if drop.Load() && c.Op == "put" {
			return faultstore.Action{Mode: faultstore.Drop}
		}
		return faultstore.Action{}
	})
	d := newDatabase(t, store, testOptions(t))
	d.commit(3, 2)
	d.sync()
	drop.Store(true)
	d.commit(3, 2)
	for range 3 {
		wantErr(t, d.Sync(t.Context()), ErrStoreDown)
		if d.DurableTXID() != 1 || d.Pending().Commits != 1 {
			t.Fatalf("durable txid %s, pending %+v", d.DurableTXID(), d.Pending())
		}
	}
	drop.Store(false)
	d.sync()
	d.check()
	if checkBucket(t, mem, d.now, d.size) != 2 || d.DurableTXID() != 2 {
		t.Fatalf("durable txid %s", d.DurableTXID())
	}
}

// TestW10_SlowPut: commits and readers go on while a put hangs; what is committed meanwhile is in the next file.
func TestW10_SlowPut(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	inPut, goOn := make(chan struct{}), make(chan struct{})
	var armed atomic.Bool
	store := faultstore.Wrap(mem, func(_ context.Context, c faultstore.Call) faultstore.Action {
		if c.Op == "put" && strings.HasSuffix(c.Key, ".ltx") && armed.CompareAndSwap(true, false) {
			close(inPut)
			<-goOn
		}
		return faultstore.Action{}
	})
	d := newDatabase(t, store, testOptions(t))
	d.commit(3, 2)
	d.sync()
	armed.Store(true)
	d.commit(4, 2)
	synced := make(chan error)
	go func() { synced <- d.Sync(context.Background()) }()
	<-inPut
	for range 100 {
		d.commit(5, 3)
		d.check()
		must(t, d.renew(t.Context()))
	}
	if d.DurableTXID() != 1 || d.Pending().Commits != 101 {
		t.Fatalf("while the put hangs: txid %s, %+v", d.DurableTXID(), d.Pending())
	}
	close(goOn)
	must(t, <-synced)
	if d.DurableTXID() != 2 || d.Pending().Commits != 100 {
		t.Fatalf("after the put: txid %s, %+v", d.DurableTXID(), d.Pending())
	}
	d.check()
	d.sync()
	if checkBucket(t, mem, d.now, d.size) != 3 {
		t.Fatal("want 3 files")
	}
	d.check()
}

// TestSync_WaitsForTheView: who syncs while another upload has arrived, and is not yet in the View, reads its TXID afterwards.
func TestSync_WaitsForTheView(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(t, new(memstore.Store), testOptions(t))
		d.commit(3, 2)
		d.sync()
		late := lateView{d.replica.Load().Replica, make(chan struct{})}
		d.replica.Store(&follower{late})
		d.commit(3, 3)
		var first, second atomic.Bool
		for _, ended := range []*atomic.Bool{&first, &second} {
			go func() {
				if err := d.Sync(t.Context()); err != nil {
					t.Error(err)
				}
				ended.Store(true)
			}()
			synctest.Wait()
		}
		if d.DurableTXID() != 2 || d.Snapshot().Base().TXID != 1 || first.Load() || second.Load() {
			t.Errorf("durable at %s, read at %s; first Sync has ended: %t, second: %t",
				d.DurableTXID(), d.Snapshot().Base().TXID, first.Load(), second.Load())
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		must(t, d.Sync(ended)) // it is in the bucket
		close(late.comes)
		synctest.Wait()
		if got := d.Snapshot().Base().TXID; got != 2 || !first.Load() || !second.Load() {
			t.Errorf("read at %s; first Sync has ended: %t, second: %t", got, first.Load(), second.Load())
		}
	})
}

// lateView is a Replica that takes its time to see what was just uploaded.
type lateView struct {
	Replica
	comes chan struct{}
}

func (l lateView) Adopt(ctx context.Context, f index.File, body io.ReaderAt) (*index.View, error) {
	<-l.comes
	return l.Replica.Adopt(ctx, f, body)
}

// TestSteadyState: one put and one read back for each upload, nothing when nothing was committed, never a listing.
func TestSteadyState(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	var mu sync.Mutex
	calls := map[string]int{}
	store := faultstore.Wrap(mem, func(_ context.Context, c faultstore.Call) faultstore.Action {
		mu.Lock()
		calls[c.Op]++
		mu.Unlock()
		return faultstore.Action{}
	})
	opts := testOptions(t)
	opts.OpenReplica = func(ctx context.Context) (Replica, error) { return openTracker(ctx, store) }
	d := newDatabase(t, store, opts)
	d.commit(3, 2)
	d.sync()
	clear(calls)
	for range 10 {
		d.commit(3, 2)
		d.commit(3, 3)
		must(t, d.tick(t.Context()))
		must(t, d.tick(t.Context()))
		d.sync()
	}
	if calls["put"] != 10 || calls["get"] != 10 || len(calls) != 2 {
		t.Errorf("10 uploads took %v", calls)
	}
	d.check()
}

// TestW8_PageSizes: every page size works for a new database, and none but the first for one that is there.
func TestW8_PageSizes(t *testing.T) {
	t.Parallel()
	for size := uint32(512); size <= 65536; size *= 2 {
		store := new(memstore.Store)
		d := newDatabase(t, store, testOptions(t))
		d.pageSize = size
		d.commit(3, 2)
		d.sync()
		d.commit(5, 4)
		other := uint32(1024)
		if size == other {
			other = 4096
		}
		d.pageSize = other
		wantErr(t, d.try(3, 2), ErrPageSize)
		d.pageSize = size
		tx, _, err := d.write(3, 2)
		must(t, err)
		first := d.page(1)
		d.pageSize = other
		copy(first[:100], d.page(1)[:100]) // VACUUM writes the new image in pieces of the old size
		must(t, tx.WritePage(1, first))
		_, err = tx.Commit(t.Context(), 3)
		wantErr(t, err, ErrPageSize)
		tx.Rollback()
		d.pageSize = size
		d.check()
		d.commit(4, 2)
		d.sync()
		d.check()
		checkBucket(t, store, d.now, d.size)
	}
}

// TestUnfenced: a store that ignores conditions is found out before anything is written, unless the user insists.
func TestUnfenced(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	store := faultstore.Wrap(mem, func(context.Context, faultstore.Call) faultstore.Action {
		return faultstore.Action{Mode: faultstore.IgnoreConditions}
	})
	opts := testOptions(t)
	w, err := tryOpen(store, mem, opts)
	must(t, err)
	wantErr(t, w.Acquire(t.Context()), ErrUnfenced)
	if keys := mem.Keys(); len(keys) != 0 {
		t.Errorf("left behind: %v", keys)
	}
	must(t, w.Close(t.Context()))
	opts.Unfenced = true
	d := newDatabase(t, store, opts)
	d.mem = mem
	for range 10 {
		d.commit(5, 2, 3)
		d.sync()
	}
	d.check()
	d.commit(5, 2)
	foreignCommit(t, mem)
	wantErr(t, d.Sync(t.Context()), ErrConflict) // it looks before it writes
	checkForeignKept(t, mem)
}

// checkForeignKept makes sure that the last object is still the other writer's.
func checkForeignKept(t *testing.T, mem *memstore.Store) {
	t.Helper()
	var last memstore.Object
	for _, o := range mem.Objects() {
		if _, _, _, ok := index.ParseKey(o.Key); ok {
			last = o
		}
	}
	dec := ltx.NewDecoder(bytes.NewReader(last.Data))
	must(t, dec.DecodeHeader())
	page := make([]byte, dec.Header().PageSize)
	var h ltx.PageHeader
	must(t, dec.DecodePage(&h, page))
	if h.Pgno != 2 || page[0] != 0xf0 {
		t.Fatalf("%s is not the other writer's any more", last.Key)
	}
}
