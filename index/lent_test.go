package index

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// kept returns the page tables of a View as they come back after having been stored.
func kept(t testing.TB, v *View) []*Layout {
	t.Helper()
	var all []*Layout
	for _, l := range v.Layouts() {
		again, err := DecodeTable(l.File(), l.AppendTable(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !again.seg.equal(l.seg) {
			t.Fatalf("%s: a stored page table came back as another one", l.File())
		}
		all = append(all, again)
	}
	return all
}

func lending(layouts []*Layout) Options {
	return Options{Layouts: func(context.Context) []*Layout { return layouts }}
}

// A page table that was stored is the one that was read, whatever the file looks like.
func TestStoredTable(t *testing.T) {
	t.Parallel()
	for _, pageSize := range []uint32{512, 4096, 65536} {
		for _, old := range []bool{false, true} {
			t.Run(fmt.Sprintf("page=%d/old=%v", pageSize, old), func(t *testing.T) {
				m := newTestModel(t)
				m.pageSize, m.old = pageSize, old
				m.commit(40)
				m.commit(60, 3, 7)
				m.commit(20)
				m.commit(45, 1)
				m.merge(1, m.files(0)[1:3]...)
				for _, l := range kept(t, mustOpen(t, m.store).View()) {
					b := l.AppendTable(nil)
					for n := range b {
						if _, err := DecodeTable(l.File(), b[:n]); !errors.Is(err, ErrCorrupt) {
							t.Fatalf("%s cut at byte %d: %v", l.File(), n, err)
						}
					}
					if _, err := DecodeTable(l.File(), append(b, 0)); !errors.Is(err, ErrCorrupt) {
						t.Fatalf("%s and a byte more: %v", l.File(), err)
					}
				}
			})
		}
	}
}

// A stored page table cannot be that of another file, and cannot move a frame: what makes frames longer or shorter, adds or takes one away, or gives
// one to another page changes how long the file is, or what a frame must say.
func TestStoredTable_FitsOneFile(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(300)
	l := mustOpen(t, m.store).View().Layouts()[0]
	for name, change := range map[string]func(*segment, *File){
		"another length":       func(_ *segment, f *File) { f.Size++ },
		"a frame grown":        func(s *segment, _ *File) { s.narrow[7]++ },
		"a frame left out":     func(s *segment, _ *File) { s.n--; s.narrow = s.narrow[:s.n]; s.commit-- },
		"a frame of no length": func(s *segment, _ *File) { s.narrow[7] = 0 },
		"a page too many":      func(s *segment, _ *File) { s.commit-- },
		"a page missing":       func(s *segment, _ *File) { s.commit++ },
		"the lock page's number": func(s *segment, _ *File) {
			s.commit, s.n, s.pgnos, s.spelt = 1<<30, 1, pageList{}, true
			s.pgnos.add(LockPgno(512))
		},
		"pages of no size": func(s *segment, _ *File) { s.pageSize = 1000 },
		"no pages":         func(s *segment, _ *File) { s.commit = 0 },
	} {
		s, f := *l.seg, *l.File()
		s.narrow = slices.Clone(s.narrow)
		change(&s, &f)
		if _, err := DecodeTable(&f, (&Layout{&s}).AppendTable(nil)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Opening with stored page tables takes one step and one request when they are all there; what is missing or stale costs
// requests, and never a wrong page.
// announced notes what listings were announced to be followed by.
type announced struct {
	Reader
	mu    sync.Mutex
	lists []int // guarded by mu
}

func (a *announced) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	a.mu.Lock()
	a.lists = append(a.lists, objstore.AnnouncedBurst(ctx))
	a.mu.Unlock()
	return a.Reader.List(ctx, prefix, startAfter)
}

// The listing of an opening says that many requests follow, with page tables from elsewhere and without; others do not.
func TestOpen_AnnouncesBurst(t *testing.T) {
	t.Parallel()
	for _, opts := range []Options{
		{}, {Layouts: func(context.Context) []*Layout { return nil }},
	} {
		m := newTestModel(t)
		m.commit(4)
		m.snapshot()
		store := &announced{Reader: m.store}
		tracker, err := Open(t.Context(), store, opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := tracker.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []int{openBurst, 0}; !slices.Equal(store.lists, want) {
			t.Errorf("listings announced %d requests, want %d", store.lists, want)
		}
	}
}

func TestLent_Transcript(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		after func(m *model)                    // what happens after the tables were stored
		bend  func(layouts []*Layout) []*Layout // what becomes of them
		gets  int64
		steps int64
	}{
		{name: "all there", gets: 0, steps: 1},
		{name: "three newer files", after: func(m *model) { m.commit(30, 1); m.commit(31, 2); m.commit(30, 3) }, gets: 3, steps: 2},
		{name: "one left out", bend: func(l []*Layout) []*Layout { return slices.Delete(l, 4, 5) }, gets: 1, steps: 2},
		{name: "merged and gone", after: func(m *model) {
			files := m.files(0)
			m.merge(1, files[:10]...)
			for _, f := range files[:10] {
				m.remove(f)
			}
		}, gets: 1, steps: 2},
		{name: "all files have other ETags", bend: func(layouts []*Layout) []*Layout {
			for _, l := range layouts {
				l.seg.file.ETag = "other"
			}
			return layouts
		}, gets: 40, steps: 2},
		{name: "all files have no ETags", bend: func(layouts []*Layout) []*Layout {
			for _, l := range layouts {
				l.seg.file.ETag = ""
			}
			return layouts
		}, gets: 40, steps: 2},
		{name: "none", bend: func([]*Layout) []*Layout { return nil }, gets: 40, steps: 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newTestModel(t)
				m.commit(30)
				m.snapshot()
				m.remove(m.files(0)[0])
				for i := range uint32(39) {
					m.commit(30, i%30+1)
				}
				layouts := kept(t, mustOpen(t, m.store).View())
				if test.bend != nil {
					layouts = test.bend(layouts)
				}
				if test.after != nil {
					test.after(m)
				}
				counts := objstore.NewMetrics(m.store)
				begin := time.Now()
				tr, err := Open(t.Context(), slow(counts, time.Second), lending(layouts))
				if err != nil {
					t.Fatal(err)
				}
				steps := int64(time.Since(begin) / time.Second)
				if got := counts.Stats(); got.Gets != test.gets || got.Lists != 1 || steps != test.steps {
					t.Errorf("%d gets, %d lists, %d steps; want %d, 1, %d", got.Gets, got.Lists, steps, test.gets, test.steps)
				}
				w := newWitness(m.store, m)
				agree(t, w, tr, tr.View())
				m.commit(33, 4)
				agree(t, w, tr, mustPoll(t, tr))
				if err := tr.Verify(t.Context()); err != nil {
					t.Fatal(err)
				}
				if tr.View().table.Load().lends() {
					t.Error("the head rests on stored page tables after Verify")
				}
				agree(t, w, tr, tr.View())
			})
		})
	}
}

// Tables that take too long are not waited for, and what gives them has ended when Open returns.
func TestLent_Patience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTestModel(t)
		m.commit(30)
		ended := false
		begin := time.Now()
		tr, err := Open(t.Context(), m.store, Options{Layouts: func(ctx context.Context) []*Layout {
			<-ctx.Done()
			ended = true
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != lentPatience || !ended {
			t.Errorf("open took %s, want %s; ended: %v", took, lentPatience, ended)
		}
		agree(t, newWitness(m.store, m), tr, tr.View())
	})
}

// lie returns page tables that pass every check and are wrong: of two frames of equal length in a file that holds few pages, the second is
// said to be that of another page.
func lie(t *testing.T, layouts []*Layout) (from, to uint32) {
	t.Helper()
	last := layouts[len(layouts)-1]
	s := *last.seg
	said := slices.Collect(s.pgnos.all())
	from = said[len(said)-1]
	to = from + 1
	s.pgnos = pageList{}
	for _, pgno := range append(said[:len(said)-1], to) {
		s.pgnos.add(pgno)
	}
	again, err := DecodeTable(last.File(), (&Layout{&s}).AppendTable(nil))
	if err != nil {
		t.Fatal(err)
	}
	layouts[len(layouts)-1] = again
	return from, to
}

// Page tables that lie are found out by the frame they send a reader to. Then nothing of them is used any more: the View is of no
// use, the next one is right, and it is of another history, so that nothing that was cached is taken for its pages.
func TestLent_Distrust(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(30)
	m.commit(30, 3, 20)
	layouts := kept(t, mustOpen(t, m.store).View())
	_, to := lie(t, layouts)
	tr, err := Open(t.Context(), m.store, lending(layouts))
	if err != nil {
		t.Fatal(err)
	}
	v := tr.View()
	p, _ := v.Lookup(to)
	frame := make([]byte, p.Frame.Size)
	if err := m.store.ReadAt(t.Context(), p.Frame.File.Ref(), frame, p.Frame.Off); err != nil {
		t.Fatal(err)
	}
	if err := DecodeFrame(frame, to, make([]byte, v.PageSize)); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("page %d was decoded from the frame of another page: %v", to, err)
	}
	for range 2 { // the second reader finds it done
		if err := tr.Distrust(t.Context(), v); !errors.Is(err, ErrDistrusted) || !errors.Is(err, ErrViewExpired) {
			t.Fatalf("got %v", err)
		}
	}
	if tr.View().History != 1 || tr.View().table.Load().lends() {
		t.Errorf("history %d, lends %v", tr.View().History, tr.View().table.Load().lends())
	}
	agree(t, newWitness(m.store, m), tr, tr.View())
	if err := tr.Distrust(t.Context(), tr.View()); err != nil {
		t.Errorf("a View that rests on its files: %v", err)
	}
}

// Verify finds out tables that lie, before anyone reads with them.
func TestLent_Verify(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(30)
	m.commit(30, 3, 20)
	layouts := kept(t, mustOpen(t, m.store).View())
	lie(t, layouts)
	tr, err := Open(t.Context(), m.store, lending(layouts))
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Verify(t.Context()); !errors.Is(err, ErrDistrusted) {
		t.Fatalf("got %v", err)
	}
	agree(t, newWitness(m.store, m), tr, tr.View())
	if err := tr.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Files that were merged between opening and Verify are no trouble: the head moves to others.
func TestLent_VerifyAfterMerge(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(30)
	for i := range uint32(6) {
		m.commit(30, i+1)
	}
	tr, err := Open(t.Context(), m.store, lending(kept(t, mustOpen(t, m.store).View())))
	if err != nil {
		t.Fatal(err)
	}
	files := m.files(0)
	m.merge(1, files[1:]...)
	for _, f := range files[1:6] { // the newest stays, as it does in a bucket
		m.remove(f)
	}
	if err := tr.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tr.View().table.Load().lends() || tr.View().History != 0 {
		t.Errorf("lends %v, history %d", tr.View().table.Load().lends(), tr.View().History)
	}
	agree(t, newWitness(m.store, m), tr, tr.View())
}

func FuzzDecodeTable(f *testing.F) {
	m := newTestModel(f)
	m.commit(30)
	m.commit(30, 3, 20)
	for _, l := range func() []*Layout {
		tr, err := Open(f.Context(), m.store, Options{})
		if err != nil {
			f.Fatal(err)
		}
		return tr.View().Layouts()
	}() {
		f.Add(l.File().Size, uint64(l.File().Min), l.AppendTable(nil))
	}
	f.Fuzz(func(t *testing.T, size int64, lo uint64, b []byte) {
		l, err := DecodeTable(&File{Min: TXID(lo), Max: TXID(lo), Size: size}, b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		end := int64(0)
		prev := uint32(0)
		for pgno, frame := range l.Frames() {
			if pgno <= prev || pgno > l.Commit() || frame.Off < end || frame.Off+frame.Size > size {
				t.Fatalf("page %d at %d, %d bytes, in a file of %d", pgno, frame.Off, frame.Size, size)
			}
			prev, end = pgno, frame.Off+frame.Size
		}
	})
}

func BenchmarkDecodeTable(b *testing.B) {
	const n = 1_000_000
	s := &segment{file: &File{Level: 9, Min: 1, Max: 9}, header: header{pageSize: 4096, commit: n}}
	var records growing
	off := int64(100)
	for i := range n {
		size := uint32(1000 + i*7919%3000)
		s.add(densePgno(4096, i), off, size)
		records.add(uint64(s.pgno(i)), uint64(off), 2)
		off += int64(size)
	}
	s.commit++ // the lock page
	s.file.Size = off + endMarkerSize + records.bytes + 1 + tailSize
	table := (&Layout{s}).AppendTable(nil)
	for b.Loop() {
		if _, err := DecodeTable(s.file, table); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(table))/n, "B/page")
}
