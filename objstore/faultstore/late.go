package faultstore

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// ListLate returns a view of store whose listings do not show an object until delay after it was put through it, as
// an eventually consistent store does. Reads see it at once.
func ListLate(store objstore.Store, delay time.Duration) objstore.Store {
	return &late{Store: store, delay: delay, put: make(map[string]time.Time)}
}

type late struct {
	objstore.Store
	delay time.Duration

	mu  sync.Mutex
	put map[string]time.Time // when each key was put last; guarded by mu
}

func (s *late) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	etag, err := s.Store.Put(ctx, key, body, opts)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.put[key] = time.Now()
	}
	return etag, err
}

// List goes on to the next page while a page has nothing to show, because an empty page ends a listing.
func (s *late) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	for {
		page, err := s.Store.List(ctx, prefix, startAfter)
		if err != nil || len(page.Objects) == 0 {
			return page, err
		}
		startAfter = page.Objects[len(page.Objects)-1].Key
		page.Objects = slices.DeleteFunc(page.Objects, s.hidden)
		if len(page.Objects) > 0 || !page.More {
			return page, nil
		}
	}
}

func (s *late) hidden(info objstore.Info) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.put[info.Key]
	return ok && time.Since(at) < s.delay
}
