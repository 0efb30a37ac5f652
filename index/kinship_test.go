package index

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"

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
