package index

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// last is the L0 file of the model's newest transaction, as its writer knows it.
func (m *model) last() (File, *bytes.Reader) {
	f := File{Min: m.head().txid, Max: m.head().txid}
	part, err := m.store.ReadPrefix(context.Background(), f.Ref(), 1<<30)
	m.check(err)
	f.Size, f.ETag = part.Size, part.ETag
	return f, bytes.NewReader(part.Data)
}

// W12: what the writer adopts is never ingested again, whenever polls and late listings come: the head does not go back, and
// reads what a fresh follower reads.
func TestW12_Adopt(t *testing.T) {
	t.Parallel()
	seeds := uint64(10)
	if testing.Short() || raceEnabled {
		seeds = 3
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(new(memstore.Store), seed, 1, 512, func(err error) { t.Fatal(err) })
			m.ours = true
			store := faultstore.ListLate(m.store, 90*time.Second)
			m.to = store
			m.commit(20)
			time.Sleep(2 * time.Minute)
			tr := mustOpen(t, store)
			w := newWitness(m.store, m)
			for range 300 {
				before := tr.View()
				m.transaction()
				if m.rng.IntN(3) == 0 { // a poll is faster
					mustPoll(t, tr)
				}
				f, body := m.last()
				v, err := tr.Adopt(t.Context(), f, body)
				if err != nil {
					t.Fatal(err)
				}
				if v != tr.View() || v.TXID != before.TXID+1 || v.History != 0 || tr.State().Known != v.TXID {
					t.Fatalf("seed %d: at %s of history %d after %s", seed, v.TXID, v.History, before.TXID)
				}
				switch m.rng.IntN(10) {
				case 0:
					m.compact(1, 20)
				case 1:
					m.expireL0(5 * time.Minute)
				case 2:
					m.snapshot()
				case 3:
					if err := tr.Refresh(t.Context()); err != nil { // which shows less
						t.Fatal(err)
					}
				case 4:
					time.Sleep(time.Duration(m.rng.IntN(70)) * time.Second)
				}
				if got := mustPoll(t, tr); got.TXID != v.TXID || got.Counter() != v.Counter() {
					t.Fatalf("seed %d: a poll moved the head from %s to %s", seed, v.TXID, got.TXID)
				}
				if m.rng.IntN(10) == 0 {
					agree(t, w, tr, tr.View())
					agree(t, w, tr, mustOpen(t, m.store).View())
				}
			}
		})
	}
}

// Only the file after the head can be adopted, and only with the replica's page size.
func TestAdopt_Refused(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(5)
	tr := mustOpen(t, m.store)
	var brought []Blob
	tr.opts.OnLoad = func(_ *View, blobs []Blob) { brought = append(brought, blobs...) }
	m.commit(5, 2)
	skipped, skippedBody := m.last()
	m.commit(5, 3)
	next, nextBody := m.last()
	if _, err := tr.Adopt(t.Context(), next, nextBody); !errors.Is(err, ErrNotNext) || tr.View().TXID != 1 {
		t.Fatalf("txid 3 after 1: %v", err)
	}
	for _, f := range []struct {
		file File
		body *bytes.Reader
	}{{skipped, skippedBody}, {next, nextBody}} {
		if _, err := tr.Adopt(t.Context(), f.file, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if len(brought) != 2 || tr.View().TXID != 3 {
		t.Fatalf("%d blobs, head %s", len(brought), tr.View().TXID)
	}
	if _, err := tr.Adopt(t.Context(), skipped, skippedBody); !errors.Is(err, ErrNotNext) {
		t.Fatalf("txid 2 after 3: %v", err)
	}
	if v, err := tr.Adopt(t.Context(), next, nextBody); err != nil || v != tr.View() {
		t.Fatalf("the head again: %v", err)
	}
	next.ETag = "another"
	if _, err := tr.Adopt(t.Context(), next, nextBody); !errors.Is(err, ErrNotNext) {
		t.Fatalf("another file of the head's name: %v", err)
	}

	short := next
	short.Min, short.Max = 4, 4
	if _, err := tr.Adopt(t.Context(), short, bytes.NewReader(make([]byte, 50))); err == nil {
		t.Fatal("half a file was adopted")
	}
	if _, err := tr.Adopt(t.Context(), short, nextBody); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a file of another name: %v", err)
	}
	other := newModel(new(memstore.Store), 1, 2, 1024, func(err error) { t.Fatal(err) })
	for range 4 {
		other.commit(5, 2)
	}
	f, body := other.last()
	if _, err := tr.Adopt(t.Context(), f, body); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("another page size: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tr.turn <- struct{}{}
	if _, err := tr.Adopt(ctx, next, nextBody); !errors.Is(err, context.Canceled) {
		t.Fatalf("waiting for a poll: %v", err)
	}
}

// A file too large to be read whole is adopted from its two ends.
func TestAdopt_Large(t *testing.T) {
	t.Parallel()
	m := newModel(new(memstore.Store), 1, 1, 4096, func(err error) { t.Fatal(err) })
	m.commit(5)
	tr := mustOpen(t, m.store)
	m.commit(1500)
	f, body := m.last()
	if f.Size <= wholeSize {
		t.Fatalf("%d bytes are not large", f.Size)
	}
	v, err := tr.Adopt(t.Context(), f, body)
	if err != nil {
		t.Fatal(err)
	}
	agree(t, newWitness(m.store, m), tr, v)
}

// Polls, listings and adoptions at once: each View is one further.
func TestAdopt_Concurrent(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.ours = true
	m.commit(20)
	tr := mustOpen(t, m.store)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for n := range 3 {
		wg.Go(func() {
			last := tr.View()
			for ctx.Err() == nil {
				var err error
				if n == 0 {
					err = tr.Refresh(ctx)
				} else {
					err = tr.Poll(ctx)
				}
				v := tr.View()
				if err != nil && ctx.Err() == nil || v.TXID < last.TXID || v.History != 0 {
					t.Errorf("from %s to %s: %v", last.TXID, v.TXID, err)
					return
				}
				last = v
			}
		})
	}
	for range 300 {
		m.mu.Lock()
		m.transaction()
		f, body := m.last()
		m.mu.Unlock()
		if v, err := tr.Adopt(ctx, f, body); err != nil || v.TXID != f.Max {
			t.Fatalf("%s: %v", &f, err)
		}
	}
}

// While this process puts the next file, and an interval after it, Run asks for nothing that is at hand; Poll always does.
func TestHold(t *testing.T) {
	t.Parallel()
	m := newModel(new(memstore.Store), 1, 1, 512, func(err error) { t.Fatal(err) })
	m.commit(3)
	counts := objstore.NewMetrics(m.store)
	tr := mustOpen(t, counts)
	polls := func(want int64) {
		t.Helper()
		before := counts.Stats().Requests()
		if err := tr.pollUnlessOwn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := counts.Stats().Requests() - before; got != want {
			t.Errorf("%d requests, want %d", got, want)
		}
	}
	polls(1)
	release := tr.Hold()
	polls(0)
	release()
	polls(1)
	tr.SetPollInterval(time.Hour)
	tr.adopted = time.Now()
	polls(0)
	tr.await.Add(1) // somebody waits for what another one writes
	polls(1)
	tr.await.Add(-1)
	tr.mustList = true
	polls(1)
}
