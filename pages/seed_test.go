package pages

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// blobOf is the piece of a file that holds the frame of a page.
func (w *world) blobOf(v *index.View, pgno uint32) index.Blob {
	w.t.Helper()
	f := w.lookup(v, pgno).Frame
	data := w.object(*f.File)[f.Off : f.Off+f.Size]
	return index.Blob{File: f.File, Off: f.Off, Data: slices.Clone(data)}
}

// Pages whose frames are at hand take no request; those that a newer file has superseded, that lie in a file with another ETag, or that
// cannot be decoded, are fetched.
func TestSeed(t *testing.T) {
	t.Parallel()
	r := newReplica(4096)
	r.commit(100)
	w := r.open(t, huge)
	old := w.tracker.View()
	blobs := []index.Blob{w.blobOf(old, 7), w.blobOf(old, 9), w.blobOf(old, 11), w.blobOf(old, 13)}
	r.commit(100, 9)
	v := w.poll()
	blobs[2].Data[20] ^= 0xff
	other := *blobs[3].File
	other.ETag = "other"
	blobs[3].File = &other
	w.source.Seed(v, blobs)
	w.spy.take()
	s := w.reader()
	s.mustRead(v, 7)
	if gets := w.spy.take(); len(gets) != 0 {
		t.Errorf("a page at hand took %v", gets)
	}
	for _, pgno := range []uint32{9, 11, 13} {
		if w.cache.has(w.source.key(v, w.lookup(v, pgno))) {
			t.Errorf("page %d is in the cache", pgno)
		}
	}
	s.mustRead(v, 9, 11, 13)
	w.audit()
}

// Seeding leaves most of the cache to what is read.
func TestSeed_Bound(t *testing.T) {
	t.Parallel()
	r := newReplica(4096)
	r.commit(200)
	w := r.open(t, 200<<10)
	v := w.tracker.View()
	var blobs []index.Blob
	for pgno := range uint32(200) {
		blobs = append(blobs, w.blobOf(v, pgno+1))
	}
	w.source.Seed(v, blobs)
	if used := w.cache.Used(); used > 50<<10 || used < 40<<10 {
		t.Errorf("%d bytes of a cache of %d are seeded", used, 200<<10)
	}
	w.audit()
}

// Prefetch asks for everything at once, neighbours together, within its bound; who reads meanwhile waits for that and asks nothing.
func TestPrefetch(t *testing.T) {
	t.Parallel()
	w := large().clone().open(t, huge)
	v := w.tracker.View()
	pgnos := slices.Concat(span(100, 120), span(5000, 5001), []uint32{9000, 9000, 20_000, 0})
	started, release := make(chan struct{}, 10), make(chan struct{})
	w.spy.hook(func(context.Context, get) error {
		started <- struct{}{}
		<-release
		return nil
	})
	w.source.Prefetch(v, pgnos, 8<<20)
	for range 3 { // all of them before any is answered
		select {
		case <-started:
		case <-time.After(time.Minute):
			t.Fatal("requests wait for each other")
		}
	}
	time.AfterFunc(10*time.Millisecond, func() { close(release) }) // sooner or later: who reads now waits, or finds it done
	s := w.reader()
	for _, pgno := range slices.Concat(span(100, 120), span(5000, 5001), []uint32{9000}) {
		w.must(s.read(t.Context(), v, pgno))
	}
	if gets := w.spy.take(); len(gets) != 3 {
		t.Errorf("%d gets, want 3", len(gets))
	}
}

func TestPrefetch_Requests(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		pgnos []uint32
		most  int64
		gets  int
	}{
		{"neighbours", span(100, 140), 8 << 20, 1},
		{"a small hole", slices.Concat(span(100, 110), span(115, 120)), 8 << 20, 1},
		{"far apart", []uint32{100, 3000, 6000}, 8 << 20, 3},
		{"more than may be fetched", []uint32{100, 3000, 6000}, 5000, 2},
		{"nothing may be fetched", []uint32{100, 3000, 6000}, 0, 0},
		{"no such page", []uint32{0, 1 << 30}, 8 << 20, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := large().clone().open(t, huge)
			v := w.tracker.View()
			w.source.Prefetch(v, test.pgnos, test.most)
			w.source.wg.Wait()
			gets := w.spy.take()
			if len(gets) > test.gets || len(gets) == 0 && test.gets > 0 || sum(gets) > test.most {
				t.Errorf("%d gets of %d bytes together, want %d and at most %d bytes", len(gets), sum(gets), test.gets, test.most)
			}
			w.source.Prefetch(v, test.pgnos, test.most)
			w.source.wg.Wait()
			if again := w.spy.take(); test.gets != 1 && test.most == 8<<20 && len(again) != 0 {
				t.Errorf("what is cached was fetched again: %v", again)
			}
			w.audit()
		})
	}
}

// What is noted are the pages that were asked for, cached or not, and only while somebody wants to know.
func TestTouched(t *testing.T) {
	t.Parallel()
	r := newReplica(4096)
	r.commit(50)
	w := r.open(t, huge)
	v := w.tracker.View()
	s := w.reader()
	s.mustRead(v, 3)
	if got := w.source.Touched(); got != nil {
		t.Errorf("noted without being asked: %v", got)
	}
	w.source.Record(4)
	s.mustRead(v, 9, 3, 9, 20)
	if got := w.source.Touched(); !slices.Equal(got, []uint32{3, 9, 20}) {
		t.Errorf("got %v", got)
	}
	w.source.Record(4)
	s.mustRead(v, span(1, 30)...)
	if got := w.source.Touched(); len(got) != 4 {
		t.Errorf("%d pages noted, want 4", len(got))
	}
}

// doubter is a Rehomer that knows that a View is wrong.
type doubter struct {
	*index.Tracker
	err error
}

func (d doubter) Distrust(context.Context, *index.View) error { return d.err }

// A frame that is another page's is told to who made the View; the error is theirs when they say so, and else says that the replica is corrupt.
func TestDistrust(t *testing.T) {
	t.Parallel()
	r := newReplica(4096)
	r.commit(20)
	f := index.File{Min: 1, Max: 1}
	data := slices.Clone(r.object(f))
	errWrong := errors.New("the view was wrong")
	for _, want := range []error{errWrong, nil} {
		w := r.clone().open(t, huge)
		v := w.tracker.View()
		p := w.lookup(v, 5)
		bent := slices.Clone(data)
		bent[p.Frame.Off+3] ^= 1 // the number of the page
		file := *p.Frame.File
		w.source.Close()
		w.source = NewSource(swapped{w.spy, bent, file.Key()}, doubter{w.tracker, want}, w.cache)
		err := w.source.NewReader().ReadPage(t.Context(), v, 5, make([]byte, 4096))
		if want != nil && !errors.Is(err, want) || want == nil && !errors.Is(err, index.ErrCorrupt) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

// swapped has other bytes under a key.
type swapped struct {
	*spy
	data []byte
	key  string
}

func (s swapped) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	if ref.Key != s.key {
		return s.spy.ReadAt(ctx, ref, p, off)
	}
	copy(p, s.data[off:])
	return nil
}
