package index

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// overtaken lists what was there a while ago, until somebody has met a file that is gone.
type overtaken struct {
	Reader
	old  *memstore.Store
	over atomic.Bool
}

// overtake keeps what m lists now.
func overtake(m *model) *overtaken {
	s := &overtaken{Reader: m.store, old: new(memstore.Store)}
	for _, o := range m.store.Objects() {
		_, err := s.old.Put(context.Background(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{Timestamp: o.Timestamp})
		m.check(err)
	}
	return s
}

func (s *overtaken) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	if s.over.Load() {
		return s.Reader.List(ctx, prefix, startAfter)
	}
	return s.old.List(ctx, prefix, startAfter)
}

func (s *overtaken) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	return s.met(s.Reader.ReadAt(ctx, ref, p, off))
}

func (s *overtaken) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	part, err := s.Reader.ReadPrefix(ctx, ref, n)
	return part, s.met(err)
}

func (s *overtaken) met(err error) error {
	if errors.Is(err, objstore.ErrNotFound) {
		s.over.Store(true)
	}
	return err
}

// TestSim_ListingOvertaken: somebody who has not polled for long finds none of the files that he knows in a listing, and the files that could
// prove whose history it is are merged and gone before he reads them. That is no other history: the next listing tells.
func TestSim_ListingOvertaken(t *testing.T) {
	t.Parallel()
	m := newTestModel(t)
	m.commit(12)
	for i := range uint32(7) {
		m.commit(12, i+1, 12-i)
	}
	reader := struct{ Reader }{m.store}
	for _, move := range []string{"rehome", "refresh"} {
		t.Run(move, func(t *testing.T) {
			tr := mustOpen(t, &reader)
			v := tr.View()
			lone := v.Files()[len(v.Files())-1]
			level := lone.Level
			m.merge(level+1, m.files(level)...)
			for _, f := range m.files(level) {
				m.remove(f)
			}
			store := overtake(m)
			reader.Reader = store
			m.merge(level+2, m.files(level+1)...)
			for _, f := range m.files(level + 1) {
				m.remove(f)
			}
			var err error
			if move == "rehome" {
				err = tr.Rehome(t.Context(), v, v.Files()[0])
			} else {
				err = tr.Refresh(t.Context())
			}
			if err != nil {
				t.Errorf("got %v", err)
			}
			if now := tr.View(); now.History != v.History {
				t.Errorf("taken for another history")
			}
			if !store.over.Load() {
				t.Error("nothing was gone: the test tests nothing")
			}
			agree(t, newWitness(m.store, m), tr, v)
		})
	}
}

// overlook opens a replica at a snapshot and, as a time traveller, at a later moment, which other files hold too when merge has
// been called. Afterwards the head knows none of the files that are left, and merge decides what they are.
func overlook(t *testing.T, m *model, merge func()) (tr *Tracker, past *View) {
	m.commit(12)
	m.merge(SnapshotLevel, m.files(0)...)
	m.remove(m.files(0)[0])
	tr = mustOpen(t, m.store)
	m.commit(12, 1, 3)
	m.commit(12, 5)
	m.commit(12, 1, 7)
	tl, err := tr.Timeline(t.Context())
	m.check(err)
	past, err = tl.At(t.Context(), 3)
	m.check(err)
	merge()
	return tr, past
}

// moveOn takes transaction 2 into the snapshot.
func (m *model) moveOn() {
	old := append(m.files(SnapshotLevel), m.files(0)[0])
	m.merge(SnapshotLevel, old...)
	for _, f := range old {
		m.remove(f)
	}
}

// TestSim_HeadOfStrangers (seeds 200794 and 201061 of integration/sim): the head has not followed for long and stands on a snapshot that is
// gone, with all that it knew of; it goes on as if with another history, which costs nothing. A View that a time traveller has opened
// meanwhile is not that ignorant: the files that it needs end as its own.
func TestSim_HeadOfStrangers(t *testing.T) {
	t.Parallel()
	for name, merge := range map[string]func(*model){
		"the last file is still there": func(m *model) { m.moveOn() },
		"it was merged": func(m *model) {
			m.moveOn()
			m.merge(1, m.files(0)[0])
			m.remove(m.files(0)[0])
		},
		"a snapshot is left of it": func(m *model) { m.moveOn(); m.moveOn() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newTestModel(t)
				tr, past := overlook(t, m, func() { merge(m) })
				w := newWitness(m.store, m)
				if now := mustRefresh(t, tr); now.History != 1 {
					t.Fatalf("the head is of history %d: the test tests nothing", now.History)
				}
				agree(t, w, tr, past)
				if past.History != 0 {
					t.Errorf("the View is of history %d now", past.History)
				}
				agree(t, w, tr, tr.View())
			})
		})
	}
}

// Another history that happens to have no file in common with the head's is one, for those that know more, too.
func TestRehome_NotIntoAnotherHistory(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(a, b *model){
		"all files are new": func(a, b *model) { b.commit(12, 2); b.commit(12, 3); b.commit(12, 4); b.moveOn() },
		"all is one file":   func(a, b *model) { b.commit(12, 2); b.commit(12, 3); b.moveOn(); b.moveOn() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newTestModel(t)
				tr, past := overlook(t, a, func() {
					time.Sleep(time.Second)
					a.wipe()
					b := newModel(a.store, 2, 2, 512, func(err error) { t.Fatal(err) })
					b.commit(12)
					b.merge(SnapshotLevel, b.files(0)...)
					b.remove(b.files(0)[0])
					replace(a, b)
				})
				for range 2 { // by itself, and after the head has gone on
					gone := past.Files()[0]
					if err := tr.Rehome(t.Context(), past, gone); !errors.Is(err, ErrViewExpired) || !errors.Is(err, ErrHistoryChanged) {
						t.Errorf("got %v", err)
					}
					mustRefresh(t, tr)
				}
			})
		})
	}
}

// A bucket was put back to an earlier state, and another writer has gone on from there. Old files are the same, and the new ones are
// merged: only the time of the last transaction tells.
func TestRehome_NotIntoAFork(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]int{"as far as the head": 0, "further": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newTestModel(t)
				a.commit(12)
				a.merge(SnapshotLevel, a.files(0)...)
				a.remove(a.files(0)[0])
				then := make(map[string][]byte)
				for _, o := range a.store.Objects() {
					then[o.Key] = o.Data
				}
				a.commit(12, 2)
				tr := mustOpen(t, a.store)
				v := tr.View()

				time.Sleep(time.Second)
				a.wipe()
				for key, data := range then {
					_, err := a.store.Put(t.Context(), key, bytes.NewReader(data), objstore.PutOptions{})
					a.check(err)
				}
				a.states, a.era = a.states[:2], 2
				a.commit(12, 3)
				for range ahead {
					a.commit(12, 4)
				}
				a.merge(1, a.files(0)[0])
				a.remove(a.files(0)[0])

				err := tr.Rehome(t.Context(), v, v.Files()[1])
				if !errors.Is(err, ErrViewExpired) || !errors.Is(err, ErrHistoryChanged) {
					t.Errorf("rehome: %v", err)
				}
				now := mustRefresh(t, tr)
				if now.History != 1 {
					t.Errorf("the head was moved to a fork: history %d", now.History)
				}
			})
		})
	}
}
