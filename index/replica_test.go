package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

func mustOpen(t *testing.T, store Reader) *Tracker {
	t.Helper()
	tr, err := Open(t.Context(), store, Options{PollInterval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func mustPoll(t *testing.T, tr *Tracker) *View {
	t.Helper()
	if err := tr.Poll(t.Context()); err != nil {
		t.Fatalf("poll at %s: %v", tr.View().TXID, err)
	}
	return tr.View()
}

func mustRefresh(t *testing.T, tr *Tracker) *View {
	t.Helper()
	if err := tr.Refresh(t.Context()); err != nil {
		t.Fatalf("refresh at %s: %v", tr.View().TXID, err)
	}
	return tr.View()
}

// agree compares a View with the oracle of its history.
func agree(t *testing.T, w *witness, tr *Tracker, v *View) {
	t.Helper()
	err := w.view(t.Context(), v, func(gone *File) error { return tr.Rehome(t.Context(), v, gone) })
	if err != nil {
		t.Fatalf("view at %s from %v: %v", v.TXID, v.Files(), err)
	}
}

func version(t *testing.T, v *View, pgno uint32) TXID {
	t.Helper()
	p, ok := v.Lookup(pgno)
	if !ok {
		t.Fatalf("page %d at %s not found", pgno, v.TXID)
	}
	return p.Version
}

// L0 11..15 change page 7 at 15; L1 1..12 arrives later with page 7 of 12: the reader keeps 15.
func TestR2_OlderVersionNeverWins(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(10, 1)
	for m.head().txid < 10 {
		m.commit(10, 3)
	}
	m.commit(10, 2)
	m.commit(10, 7)
	m.commit(10, 3)
	m.commit(10, 4)
	m.commit(10, 7)

	w := newWitness(m.store, m)
	warm := mustOpen(t, m.store)
	if got := version(t, warm.View(), 7); got != 15 {
		t.Errorf("before the merge: page 7 as of %s", got)
	}
	m.merge(1, m.files(0)[:12]...)
	for _, f := range m.files(0)[:8] {
		m.remove(f)
	}
	for name, v := range map[string]*View{"warm": mustRefresh(t, warm), "cold": mustOpen(t, m.store).View()} {
		if v.TXID != 15 || version(t, v, 7) != 15 {
			t.Errorf("%s: page 7 as of %s at %s", name, version(t, v, 7), v.TXID)
		}
		agree(t, w, warm, v)
	}
	// A merged file that ends before the head but holds later news than the files below it.
	m.merge(2, m.files(1)[0])
	m.snapshot()
	m.commit(10, 9)
	agree(t, w, warm, mustPoll(t, warm))
	if got := version(t, warm.View(), 7); got != 15 {
		t.Errorf("after a snapshot: page 7 as of %s", got)
	}
}

// A shrink drops the pages above the new size and nothing else; growth afterwards brings new ones, not those of before.
func TestR3_ShrinkAndRegrow(t *testing.T) {
	t.Parallel()
	sizes := []uint32{20, 8, 8, 15, 3, 1, 30, 29, 30, 12, 40}
	for _, merge := range []string{"never", "each", "pairs", "all"} {
		t.Run("merge="+merge, func(t *testing.T) {
			t.Parallel()
			m := newTestModel(t)
			m.commit(sizes[0])
			w := newWitness(m.store, m)
			warm := mustOpen(t, m.store)
			first := warm.View()
			for i, size := range sizes[1:] {
				m.commit(size, 1, 2)
				switch {
				case merge == "each", merge == "pairs" && i%2 == 1:
					m.compact(1, 2)
				case merge == "all":
					m.merge(1, m.files(0)...)
				}
				v := mustPoll(t, warm)
				if v.Commit != size || v.TXID != m.head().txid {
					t.Fatalf("at %s: %d pages, want %d at %s", v.TXID, v.Commit, size, m.head().txid)
				}
				agree(t, w, warm, v)
				agree(t, w, warm, mustRefresh(t, warm))
				cold := mustOpen(t, m.store)
				agree(t, newWitness(m.store, m), cold, cold.View())
				agree(t, w, warm, first)
			}
		})
	}
}

// What a pinned View says does not change, whatever becomes of the files.
func TestR4_ViewDoesNotMove(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(30)
	m.snapshot()
	for i := range uint32(9) {
		m.commit(30-i, 2*i+1, 7)
	}
	w := newWitness(m.store, m)
	tr := mustOpen(t, m.store)
	v := tr.View()
	type said struct {
		txid     TXID
		at       time.Time
		commit   uint32
		counter  uint32
		versions []TXID
	}
	says := func() said {
		s := said{txid: v.TXID, at: v.Time, commit: v.Commit, counter: v.Counter()}
		for pgno := range v.Commit + 3 {
			version, _ := v.Version(pgno)
			s.versions = append(s.versions, version)
		}
		return s
	}
	want := fmt.Sprint(says())
	same := func(when string) {
		t.Helper()
		if got := fmt.Sprint(says()); got != want {
			t.Fatalf("%s: got %s, want %s", when, got, want)
		}
		agree(t, w, tr, v)
		if got := fmt.Sprint(says()); got != want {
			t.Fatalf("%s, read: got %s, want %s", when, got, want)
		}
	}
	same("at first")
	m.merge(1, m.files(0)...) // ends with the View's own TXID
	mustRefresh(t, tr)
	same("after a merge")
	m.expireL0(0)
	mustRefresh(t, tr)
	same("after the files were removed")
	m.commit(5, 1)
	mustPoll(t, tr)
	same("after a shrink")
	m.commit(60, 1)
	mustPoll(t, tr)
	same("after growth")
	m.compact(1, 9)
	m.merge(2, m.files(1)[0])
	m.expireL0(0)
	for _, f := range m.files(SnapshotLevel) {
		m.remove(f)
	}
	mustRefresh(t, tr)
	same("after the snapshot was removed")
	m.remove(m.files(1)[0])
	same("after the merged file was removed")
}

// A reader without a cache whose files are gone reads the same versions from those that replaced them, or learns that its
// View has expired; a new View works at once.
func TestR5_Rehome(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T) (*model, *Tracker, *View) {
		m := newTestModel(t)
		m.commit(12)
		for i := range uint32(7) {
			m.commit(12, i+1, 12-i)
		}
		tr := mustOpen(t, m.store)
		return m, tr, tr.View()
	}
	t.Run("merged up to the view", func(t *testing.T) {
		m, tr, v := setup(t)
		m.merge(1, m.files(0)...)
		m.commit(13, 1)
		for _, f := range m.files(0)[:8] {
			m.remove(f)
		}
		mustPoll(t, tr)
		agree(t, newWitness(m.store, m), tr, v)
		if files := v.Files(); len(files) != 1 || files[0].Level != 1 {
			t.Errorf("reads from %v", files)
		}
		if got := version(t, v, 9); got != 5 {
			t.Errorf("page 9: version %s, want the one it had, 5", got)
		}
	})
	t.Run("merged past the view", func(t *testing.T) {
		m, tr, v := setup(t)
		m.commit(13, 1)
		mustPoll(t, tr)
		m.merge(1, m.files(0)...)
		m.expireL0(0)
		w := newWitness(m.store, m)
		err := w.view(t.Context(), v, func(gone *File) error { return tr.Rehome(t.Context(), v, gone) })
		if !errors.Is(err, ErrViewExpired) || errors.Is(err, ErrHistoryChanged) {
			t.Fatalf("got %v, want an expired view", err)
		}
		if now := tr.View(); now.TXID != 9 {
			t.Fatalf("the head is at %s at once after that, want 9", now.TXID)
		}
		agree(t, w, tr, tr.View())
	})
	for _, ours := range []bool{false, true} {
		t.Run(fmt.Sprintf("everything merged while nobody polled/ours=%v", ours), func(t *testing.T) {
			m, tr, v := setup(t)
			m.ours = ours
			m.merge(1, m.files(0)...)
			m.merge(2, m.files(1)...)
			for _, f := range append(m.files(0), m.files(1)...) {
				m.remove(f)
			}
			m.commit(13, 1)
			mustPoll(t, tr)
			w := newWitness(m.store, m)
			err := w.view(t.Context(), v, func(gone *File) error { return tr.Rehome(t.Context(), v, gone) })
			if err != nil || tr.View().History != 0 {
				t.Errorf("the merged file ends with a transaction that is known, and so it is the same history: %v", err)
			}
			w = newWitness(m.store, m)
			agree(t, w, tr, tr.View())
		})
	}
	t.Run("all files of the view gone, followed by the head", func(t *testing.T) {
		m, tr, v := setup(t)
		m.commit(13, 1)
		m.merge(1, m.files(0)[:8]...)
		mustRefresh(t, tr)
		for _, f := range m.files(0)[:8] {
			m.remove(f)
		}
		mustRefresh(t, tr)
		agree(t, newWitness(m.store, m), tr, v)
		if tr.View().History != 0 {
			t.Error("taken for another history")
		}
	})
	t.Run("asked twice at once", func(t *testing.T) {
		m, tr, v := setup(t)
		gone := v.Files()[0]
		m.merge(1, m.files(0)...)
		m.remove(m.files(0)[0])
		store := objstore.NewMetrics(m.store)
		tr.store = store
		for range 3 {
			if err := tr.Rehome(t.Context(), v, gone); err != nil {
				t.Fatal(err)
			}
		}
		if got := store.Stats(); got.Lists != 1 {
			t.Errorf("three rehomes made %d listings", got.Lists)
		}
	})
	t.Run("the listing shows what is gone", func(t *testing.T) {
		m, tr, v := setup(t)
		gone := m.files(0)[3]
		if err := tr.Rehome(t.Context(), v, &gone); !errors.Is(err, ErrViewExpired) {
			t.Fatalf("got %v, want an expired view: the dead key is not to be tried again", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		_, tr, v := setup(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := tr.Rehome(ctx, v, v.Files()[0]); !errors.Is(err, context.Canceled) || errors.Is(err, ErrViewExpired) {
			t.Fatalf("got %v", err)
		}
	})
}

// slow makes each request take some time, so that the time a call takes counts the requests that had to wait for another.
func slow(store objstore.Store, delay time.Duration) objstore.Store {
	return faultstore.Wrap(store, func(context.Context, faultstore.Call) faultstore.Action { return faultstore.Action{Delay: delay} })
}

// A 40-file chain opens in two dependent steps, one with an index longer than guessed in three.
func TestR6_OpenTranscript(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                   string
		pages, pageSize        uint32
		changes, perPage       int
		waves, lists, mostGets int64
	}{
		{"40 small files", 30, 4096, 39, 0, 2, 1, 40},
		{"large snapshot", 500, 4096, 39, 0, 2, 1, 41},
		{"index longer than guessed", 20000, 512, 39, 0, 3, 1, 42},
		{"one file", 10, 512, 0, 0, 2, 1, 1},
		{"long listing", 30, 512, 39, 7, 5, 20, 41},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newTestModel(t)
				m.pageSize, m.store.PageSize = test.pageSize, test.perPage
				m.commit(test.pages)
				m.snapshot()
				m.remove(m.files(0)[0])
				for i := range test.changes {
					m.commit(test.pages, uint32(i)%test.pages+1)
				}
				counts := objstore.NewMetrics(m.store)
				begin := time.Now()
				tr := mustOpen(t, slow(counts, time.Second))
				took, got := int64(time.Since(begin)/time.Second), counts.Stats()
				t.Logf("%d lists, %d gets, %d steps, %d bytes", got.Lists, got.Gets, took, got.BytesIn)
				if got.Gets > test.mostGets {
					t.Errorf("%d gets, want at most %d", got.Gets, test.mostGets)
				}
				if test.perPage == 0 && (took > test.waves || got.Lists > test.lists) {
					t.Errorf("%d steps, %d lists; want %d, %d", took, got.Lists, test.waves, test.lists)
				}
				agree(t, newWitness(m.store, m), tr, tr.View())

				before := counts.Stats()
				mustPoll(t, tr)
				if got := counts.Stats().Sub(before); got.Requests() != 1 || got.NotFound != 1 {
					t.Errorf("a poll without news: %+v", got)
				}
				m.commit(test.pages, 1)
				before = counts.Stats()
				mustPoll(t, tr)
				if got := counts.Stats().Sub(before); got.Gets > 3 || test.changes > 0 && got.Gets != 2 || got.Lists != 0 {
					t.Errorf("a poll with one new file: %+v", got)
				}
			})
		})
	}
}

// Each request of an open, a poll, a listing, a travel and a move failing once: it heals, or the fault surfaces and the
// next try works.
func TestR6_EveryFault(t *testing.T) {
	t.Parallel()
	modes := []faultstore.Mode{faultstore.Refuse, faultstore.Cut, faultstore.LoseReply}
	if testing.Short() || raceEnabled {
		modes = modes[:1]
	}
	for _, mode := range modes {
		for n := int64(0); ; n++ {
			fault := faultstore.FailNth(n).As(mode)
			m := newTestModel(t)
			m.store.PageSize = 9
			store := fault.Wrap(m.store)
			w := newWitness(m.store, m)
			try := func(what string, f func() error) {
				t.Helper()
				err := f()
				if err == nil {
					return
				}
				if !errors.Is(err, faultstore.ErrInjected) {
					t.Fatalf("mode %d, call %d: %s: the injected fault was lost: %v", mode, n, what, err)
				}
				if err := f(); err != nil {
					t.Fatalf("mode %d, call %d: %s, again: %v", mode, n, what, err)
				}
			}
			m.commit(800) // larger than what is fetched whole
			for i := range uint32(12) {
				m.commit(800, i+2)
			}
			m.compact(1, 6)
			var tr *Tracker
			try("open", func() (err error) {
				tr, err = Open(t.Context(), store, Options{})
				return err
			})
			v := tr.View()
			m.commit(801, 1)
			m.commit(700, 1)
			m.checkpoint()
			m.commit(702, 1)
			try("poll", func() error { return tr.Poll(t.Context()) })
			try("poll", func() error { return tr.Poll(t.Context()) })
			if tr.View().TXID != 16 {
				t.Fatalf("mode %d, call %d: at %s", mode, n, tr.View().TXID)
			}
			agree(t, w, tr, tr.View())
			m.merge(1, m.files(0)[6:13]...) // ends with v
			for _, f := range m.files(0)[:13] {
				m.remove(f)
			}
			try("refresh", func() error { return tr.Refresh(t.Context()) })
			for _, f := range v.Files() {
				if f.Level == 0 {
					try("rehome", func() error { return tr.Rehome(t.Context(), v, f) })
				}
			}
			agree(t, w, tr, v)
			try("travel", func() error {
				tl, err := tr.Timeline(t.Context())
				if err != nil {
					return err
				}
				if _, err := tl.Time(t.Context(), 6); err != nil {
					return err
				}
				past, err := tl.At(t.Context(), 6)
				if err == nil {
					agree(t, w, tr, past)
				}
				return err
			})
			if !fault.Fired() {
				t.Logf("mode %d: %d calls", mode, fault.Calls())
				break
			}
		}
	}
}

// A page within the commit size that no file holds is not found, and no other page suffers.
func TestR9_HoleIsCorrupt(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(4)
	hole := func(commit uint32, pgnos ...uint32) { // grows without writing the pages between
		m.commit(commit, pgnos...)
		s := m.head()
		h := m.header(s, s.txid)
		data := m.file(h, s, pgnos)
		m.put(0, s.txid, s.txid, data)
	}
	hole(7, 1, 7)
	missing := func(t *testing.T, v *View, pgnos ...uint32) {
		t.Helper()
		for pgno := range v.Commit + 2 {
			_, ok := v.Lookup(pgno)
			_, vok := v.Version(pgno)
			want := pgno > 0 && pgno <= v.Commit && !slices.Contains(pgnos, pgno)
			if ok != want || vok != want {
				t.Errorf("at %s: page %d found: %v, %v; want %v", v.TXID, pgno, ok, vok, want)
			}
		}
	}
	tr := mustOpen(t, m.store)
	missing(t, tr.View(), 5, 6)
	m.commit(7, 5)
	missing(t, mustPoll(t, tr), 6)
	m.commit(2, 1)
	missing(t, mustPoll(t, tr))
	hole(7, 1, 4) // pages 3 and 7 were there once: what they were is not what they are
	missing(t, mustPoll(t, tr), 3, 5, 6, 7)
	missing(t, mustOpen(t, m.store).View(), 3, 5, 6, 7)
	m.commit(7, 1)
	m.commit(7, 2)
	missing(t, mustPoll(t, tr), 3, 5, 6, 7)
	m.merge(1, m.files(0)[1:3]...)
	missing(t, mustOpen(t, m.store).View(), 3, 5, 6, 7)

	for name, pgnos := range map[string][]uint32{
		"first page": {2, 3}, "in the middle": {1, 3}, "last page": {1, 2}, "no page": nil,
	} {
		t.Run("snapshot without "+name, func(t *testing.T) {
			s := &state{txid: 9, commit: 3, pages: map[uint32]content{1: {}, 2: {}, 3: {}}}
			h := m.header(s, 1)
			var pages [][]byte
			for range pgnos {
				pages = append(pages, make([]byte, m.pageSize))
			}
			data, err := encodeOld(h, pgnos, pages)
			if err != nil {
				t.Fatal(err)
			}
			store := new(memstore.Store)
			f := File{Level: SnapshotLevel, Min: 1, Max: 9}
			if _, err := store.Put(t.Context(), f.Key(), bytes.NewReader(data), objstore.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			_, err = Open(t.Context(), store, Options{})
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "page ") || !strings.Contains(err.Error(), "L9/") {
				t.Errorf("got %v, want an error that names file and page", err)
			}
		})
	}
}

// The replica is replaced by another one: with a lower TXID, a higher one, the same, with the same names, one that
// overtakes between two polls. No View ever mixes them, and what is read belongs to the History it says.
func TestR10_HistoryReplaced(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		commits int // of the other history
		compact bool
		keepL9  bool // a snapshot of the same name stands there too
	}{
		{"lower", 4, false, false},
		{"lower, merged", 4, true, false},
		{"same", 10, false, false},
		{"same, merged", 10, true, false},
		{"next", 11, false, false},
		{"higher", 25, false, false},
		{"higher, merged", 25, true, false},
		{"same, with snapshot", 10, false, true},
		{"higher, with snapshot", 25, true, true},
		{"one transaction", 1, false, false},
	} {
		for _, how := range []string{"poll", "refresh", "between"} {
			for _, ours := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/ours=%v", test.name, how, ours), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						fail := func(err error) { t.Helper(); t.Fatal(err) }
						a := newModel(new(memstore.Store), 1, 1, 512, fail)
						b := newModel(new(memstore.Store), 2, 2, 512, fail)
						a.ours, b.ours = ours, ours
						a.commit(20)
						for a.head().txid < 10 {
							a.transaction()
							if a.head().txid == 5 {
								a.snapshot()
							}
						}
						time.Sleep(time.Hour) // other times, other bytes
						b.commit(15)
						for int(b.head().txid) < test.commits {
							b.transaction()
							if b.head().txid == 5 && test.keepL9 {
								b.snapshot()
							}
						}
						if test.compact {
							b.merge(1, b.files(0)...)
							for _, f := range b.files(0) {
								b.remove(f)
							}
						}
						swap := func() {
							a.wipe()
							for _, o := range b.store.Objects() {
								if _, err := a.store.Put(t.Context(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{}); err != nil {
									t.Fatal(err)
								}
							}
						}
						calls, at := 0, -1
						w := newWitness(a.store, a, b)
						tr, err := Open(t.Context(), between{a.store, func() {
							if calls++; calls == at {
								swap()
							}
						}, new(sync.Mutex)}, Options{OnLoad: w.onLoad(func(err error) { t.Error(err) })})
						if err != nil {
							t.Fatal(err)
						}
						pinned := tr.View()
						agree(t, w, tr, pinned)
						tl, err := tr.Timeline(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						if how == "between" { // the second request of the next poll meets the other history
							a.transaction()
							at = calls + 2
							tr.Poll(t.Context())
							if tr.View().History == 0 && tr.View().TXID <= 11 {
								if calls < at {
									swap()
								}
							}
						} else {
							swap()
						}
						time.Sleep(10 * time.Second)
						for n := 0; ; n++ {
							poll := tr.Poll
							if how == "refresh" {
								poll = tr.Refresh
							}
							err := poll(t.Context())
							if (err != nil) != (tr.State().Err != nil) {
								t.Fatalf("poll: %v, state says %v", err, tr.State().Err)
							}
							if v := tr.View(); v.History == 1 {
								break
							}
							if n > 400 {
								t.Fatalf("after %d polls: %+v", n, tr.State())
							}
							time.Sleep(time.Second)
						}
						v := tr.View()
						if v.TXID != b.head().txid || tr.State().Histories != 1 || v.Counter() == pinned.Counter() {
							t.Errorf("at %s, want %s; %+v", v.TXID, b.head().txid, tr.State())
						}
						agree(t, w, tr, v)
						if w.era[0] != 1 || w.era[1] != 2 {
							t.Errorf("histories: %v", w.era)
						}
						if err := tr.Poll(t.Context()); err != nil {
							t.Errorf("then: %v", err)
						}
						// What was pinned has expired, unless it was all in memory.
						err = w.view(t.Context(), pinned, func(gone *File) error { return tr.Rehome(t.Context(), pinned, gone) })
						if !errors.Is(err, ErrViewExpired) {
							t.Errorf("the View of the old history: %v", err)
						}
						for _, txid := range tl.TXIDs() {
							if past, err := tl.At(t.Context(), txid); err == nil && past.History != 0 {
								t.Errorf("at %s of the old history: the View says history %d", txid, past.History)
							}
						}
						b.to, b.store = a.store, a.store
						b.transaction()
						agree(t, w, tr, mustPoll(t, tr))
						if tr.View().TXID != b.head().txid {
							t.Errorf("does not follow the other history")
						}
						if tl, err = tr.Timeline(t.Context()); err != nil {
							t.Fatal(err)
						}
						for _, txid := range tl.TXIDs() {
							past, err := tl.At(t.Context(), txid)
							if err != nil {
								t.Fatal(err)
							}
							agree(t, w, tr, past)
						}
					})
				})
			}
		}
	}
}

// The other history has its beginning in common with the one that was read: a bucket set back to an earlier moment and
// written on from there. What was read of the files that differ is forgotten.
func TestR10_Fork(t *testing.T) {
	t.Parallel()
	for _, commits := range []TXID{6, 10, 15} {
		t.Run(fmt.Sprintf("to %d", commits), func(t *testing.T) {
			a := newTestModel(t)
			a.commit(20)
			for a.head().txid < 5 {
				a.transaction()
			}
			a.snapshot()
			b := newModel(a.store, 2, 2, 512, func(err error) { t.Fatal(err) })
			b.states = slices.Clone(a.states)
			for a.head().txid < 10 {
				a.commit(20, 1, 2, uint32(a.head().txid))
			}
			w := newWitness(a.store, a, b)
			w.era[0], w.era[1] = 1, 2
			tr := mustOpen(t, a.store)
			agree(t, w, tr, tr.View())
			for _, f := range a.files(0)[5:] {
				a.remove(f)
			}
			for b.head().txid < commits {
				b.commit(20, 1, 3, uint32(b.head().txid))
			}
			for n := 0; tr.View().History == 0; n++ {
				if err := tr.Refresh(t.Context()); n > 3 {
					t.Fatalf("%v, %+v", err, tr.State())
				}
			}
			if tr.View().TXID != commits {
				t.Errorf("at %s", tr.View().TXID)
			}
			agree(t, w, tr, tr.View())
		})
	}
}

// A page size that changes is an error, not a mixture.
func TestPageSizeChangesIsCorrupt(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(4)
	tr := mustOpen(t, m.store)
	m.pageSize = 1024
	m.commit(4, 1)
	for range 2 {
		if err := tr.Poll(t.Context()); !errors.Is(err, ErrCorrupt) || !errors.Is(tr.State().Err, ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	}
	if v := tr.View(); v.TXID != 1 || v.PageSize != 512 {
		t.Errorf("view at %s with pages of %d", v.TXID, v.PageSize)
	}
	if _, err := Open(t.Context(), m.store, Options{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("open: got %v", err)
	}
}

// Files without pages change size and time only.
func TestFilesWithoutPages(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(5)
	tr := mustOpen(t, m.store)
	w := newWitness(m.store, m)
	for _, size := range []uint32{5, 3, 3, 2, 2, 2} {
		m.commit(size)
		agree(t, w, tr, mustPoll(t, tr))
	}
	if n := len(tr.View().table.Load().runs); n > 2 {
		t.Errorf("%d runs", n)
	}
	cold := mustOpen(t, m.store)
	agree(t, w, cold, cold.View())
}
