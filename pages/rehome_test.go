package pages

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// chained is a replica of single files, none of them small.
func chained() *replica { return makeChained().clone() }

var makeChained = sync.OnceValue(func() *replica {
	r := newReplica(4096)
	r.commit(1000)
	r.commit(1000, span(200, 600)...)
	r.commit(1000, span(500, 900)...)
	r.commit(1000, 1)
	return r
})

// expire merges everything and removes the single files but the newest, which a writer keeps.
func expire(r *replica) {
	r.merge(1, 1, r.head())
	r.remove(0, 1, r.head()-1)
}

// R5: files go between two reads of a pinned View.
func TestRehome_BetweenReads(t *testing.T) {
	t.Parallel()
	for _, budget := range []int64{0, huge} {
		for _, order := range orders[:3] {
			r := chained()
			w := r.open(t, budget)
			v := w.tracker.View()
			reader := w.reader()
			pgnos := order.pages(v.Commit)
			reader.mustRead(v, pgnos[:len(pgnos)/2]...)
			expire(r)
			r.commit(1200, 3)
			w.poll()
			reader.mustRead(v, pgnos...)
			if n := w.source.Stats().Rehomings; n != 1 && budget == 0 {
				t.Errorf("%s: %d rehomings for files that went all at once", order.name, n)
			}
			reader.Begin()
			reader.mustRead(w.tracker.View(), 1, 3, 500, 1200)
		}
	}
}

// TestRehome_Readers has many readers find out at once, with read-ahead of the gone file under way.
func TestRehome_Readers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := chained()
		w := r.open(t, huge)
		v := w.tracker.View()
		lists := atomic.Int64{}
		rehome := w.source.rehomer
		w.source.rehomer = rehomer(func(ctx context.Context, v *index.View, gone *index.File) error {
			if gone.Level != 0 {
				t.Errorf("%s is said to be gone", gone)
			}
			lists.Add(1)
			return rehome.Rehome(ctx, v, gone)
		})
		hold := make(chan struct{})
		release := sync.OnceFunc(func() { close(hold) })
		defer release()
		scanning := w.reader()
		ahead(t, w, scanning, hold, new(atomic.Pointer[error]))
		expire(r)
		var all []*reading
		for i := range uint32(30) {
			all = append(all, w.reader().start(t.Context(), v, 1+i*33))
		}
		synctest.Wait()
		release()
		for _, r := range all {
			<-r.done
			w.must(r.err)
		}
		scanning.mustRead(v, span(1, 1000)...)
	})
}

// TestRehome_WhileFilesGo merges and removes files while readers run over them, always through the same View.
func TestRehome_WhileFilesGo(t *testing.T) {
	t.Parallel()
	r := chained()
	w := r.open(t, 50*entrySize)
	v := w.tracker.View()
	var wg sync.WaitGroup
	for n := range 4 {
		reader := w.reader()
		wg.Go(func() {
			for range 2 {
				for _, pgno := range orders[n].pages(v.Commit) {
					if err := reader.read(t.Context(), v, pgno); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	gone := func(level int, first, last index.TXID) {
		r.must(r.store.Delete(t.Context(), (&index.File{Level: level, Min: first, Max: last}).Key()))
	}
	r.merge(1, 1, 2)
	r.merge(1, 3, 4)
	r.remove(0, 1, 3)
	r.snapshot()
	gone(1, 1, 2)
	gone(1, 3, 4)
	wg.Wait()
}

// TestRehome_Changed puts other bytes under the name of a snapshot, as a snapshot taken again does.
func TestRehome_Changed(t *testing.T) {
	t.Parallel()
	r := newReplica(4096)
	r.commit(300)
	r.commit(300, 5)
	r.snapshot()
	r.remove(0, 1, 1)
	w := r.open(t, huge)
	v := w.tracker.View()
	reader := w.reader()
	reader.mustRead(v, 10)
	f := index.File{Level: index.SnapshotLevel, Min: 1, Max: 2}
	data := bytes.Clone(r.object(f))
	data[len(data)-1]++ // the checksum of the file
	r.putFile(f, data)
	reader.mustRead(v, span(1, 300)...)
	if n := w.source.Stats().Rehomings; n != 1 {
		t.Errorf("%d rehomings", n)
	}
}

func TestRehome_Expired(t *testing.T) {
	t.Parallel()
	r := chained()
	w := r.open(t, huge)
	v := w.tracker.View()
	reader := w.reader()
	reader.mustRead(v, 10)
	r.commit(1000, span(1, 1000)...)
	r.snapshot() // holds nothing older
	r.remove(0, 1, r.head())
	err := reader.read(t.Context(), v, 999)
	if !errors.Is(err, index.ErrViewExpired) || !strings.Contains(err.Error(), "page 999") {
		t.Errorf("view without files: %v", err)
	}
	reader.mustRead(v, 10) // is here
	reader.Begin()
	reader.mustRead(w.tracker.View(), 10, 999) // a new transaction works at once
}

// TestRehome_InVain has a rehomer that sees no trouble, and one that fails.
func TestRehome_InVain(t *testing.T) {
	t.Parallel()
	w := large().open(t, huge)
	calls := 0
	w.source.rehomer = rehomer(func(_ context.Context, _ *index.View, _ *index.File) error { calls++; return nil })
	w.spy.hook(func(context.Context, get) error { return objstore.ErrNotFound })
	reader, v := w.reader(), w.tracker.View()
	if err := reader.read(t.Context(), v, 5000); !errors.Is(err, objstore.ErrNotFound) || calls == 0 || calls > 10 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	w.source.rehomer = rehomer(func(context.Context, *index.View, *index.File) error { return index.ErrViewExpired })
	if err := reader.read(t.Context(), v, 5000); !errors.Is(err, index.ErrViewExpired) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.source.rehomer = rehomer(func(ctx context.Context, _ *index.View, _ *index.File) error { cancel(); return ctx.Err() })
	if err := reader.read(ctx, v, 5000); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestRehome_OthersFlight joins a fetch from a file that is gone, for a page that lies elsewhere by now: the file where it lies
// is not the one that is gone.
func TestRehome_OthersFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := chained()
		w := r.open(t, huge)
		v := w.tracker.View()
		rehome := w.source.rehomer
		w.source.rehomer = rehomer(func(ctx context.Context, v *index.View, gone *index.File) error {
			if gone.Level != 0 {
				t.Errorf("%s is said to be gone", gone)
			}
			return rehome.Rehome(ctx, v, gone)
		})
		hold := make(chan struct{})
		w.spy.hook(func(ctx context.Context, g get) error {
			if strings.HasPrefix(g.key, "0000/") {
				<-hold
			}
			return nil
		})
		a := w.reader().start(t.Context(), v, 100)
		synctest.Wait()
		gone := w.lookup(v, 100).Frame.File
		expire(r)
		w.must(rehome.Rehome(t.Context(), v, gone))
		b := w.reader().start(t.Context(), v, 100)
		synctest.Wait()
		close(hold)
		<-a.done
		<-b.done
		w.must(errors.Join(a.err, b.err))
	})
}
