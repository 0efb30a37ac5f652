package objstore

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Metrics is a view of a store that counts what is asked of it. Put it right around the backend to count requests on
// the wire, retries included, or around [Retry] to count what callers asked for.
type Metrics struct {
	store Store

	mu       sync.Mutex
	stats    Stats               // guarded by mu
	requests [kinds]RequestStats // guarded by mu
}

var _ Store = (*Metrics)(nil)

// Stats are the counts of a [Metrics] at one moment. The difference of two is Sub.
type Stats struct {
	Gets, Lists, Puts, Deletes int64 // requests that ended, by kind
	NotFound                   int64 // of them, those that were ErrNotFound: what following a writer is made of
	Errors                     int64 // of them, all other failures, lost races and cancellations included
	BytesIn                    int64 // bytes of objects read and delivered
	BytesOut                   int64 // bytes of objects put

	// Waves counts how often a request began while none was under way: with requests that overlap in time it is the
	// number of steps that had to wait for one another.
	Waves       int64
	InFlight    int64 // requests under way
	MaxInFlight int64 // most requests ever under way at once
}

// Requests is the number of requests of every kind.
func (s Stats) Requests() int64 { return s.Gets + s.Lists + s.Puts + s.Deletes }

// Sub returns what was counted between the earlier snapshot and s. InFlight and MaxInFlight stay those of s.
func (s Stats) Sub(earlier Stats) Stats {
	s.Gets -= earlier.Gets
	s.Lists -= earlier.Lists
	s.Puts -= earlier.Puts
	s.Deletes -= earlier.Deletes
	s.NotFound -= earlier.NotFound
	s.Errors -= earlier.Errors
	s.BytesIn -= earlier.BytesIn
	s.BytesOut -= earlier.BytesOut
	s.Waves -= earlier.Waves
	return s
}

// NewMetrics returns a view of store with all counts at zero.
func NewMetrics(store Store) *Metrics {
	return &Metrics{store: store}
}

// Stats returns the counts of this moment; they belong together.
func (m *Metrics) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stats
}

// begin counts a request that is under way from now on.
func (m *Metrics) begin() (began time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stats.InFlight == 0 {
		m.stats.Waves++
	}
	m.stats.InFlight++
	m.stats.MaxInFlight = max(m.stats.MaxInFlight, m.stats.InFlight)
	return time.Now()
}

// end counts a request that began with begin; add does what is particular to its kind.
func (m *Metrics) end(k Kind, began time.Time, err error, add func(*Stats)) {
	took := time.Since(began)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[k].add(err, took)
	m.stats.InFlight--
	switch {
	case err == nil:
	case errors.Is(err, ErrNotFound):
		m.stats.NotFound++
	default:
		m.stats.Errors++
	}
	add(&m.stats)
}

// endGet counts a read that delivered n bytes if err is nil.
func (m *Metrics) endGet(began time.Time, err error, n int) {
	m.end(KindGet, began, err, func(s *Stats) {
		s.Gets++
		if err == nil {
			s.BytesIn += int64(n)
		}
	})
}

// ReadAt implements RangeReader.
func (m *Metrics) ReadAt(ctx context.Context, ref Ref, p []byte, off int64) error {
	if len(p) == 0 {
		return m.store.ReadAt(ctx, ref, p, off) // no request
	}
	began := m.begin()
	err := m.store.ReadAt(ctx, ref, p, off)
	m.endGet(began, err, len(p))
	return err
}

// ReadSuffix implements RangeReader.
func (m *Metrics) ReadSuffix(ctx context.Context, ref Ref, n int64) (Part, error) {
	began := m.begin()
	part, err := m.store.ReadSuffix(ctx, ref, n)
	m.endGet(began, err, len(part.Data))
	return part, err
}

// ReadPrefix implements RangeReader.
func (m *Metrics) ReadPrefix(ctx context.Context, ref Ref, n int64) (Part, error) {
	began := m.begin()
	part, err := m.store.ReadPrefix(ctx, ref, n)
	m.endGet(began, err, len(part.Data))
	return part, err
}

// List implements Lister.
func (m *Metrics) List(ctx context.Context, prefix, startAfter string) (Page, error) {
	began := m.begin()
	page, err := m.store.List(ctx, prefix, startAfter)
	m.end(KindList, began, err, func(s *Stats) { s.Lists++ })
	return page, err
}

// Put implements Putter.
func (m *Metrics) Put(ctx context.Context, key string, body io.ReadSeeker, opts PutOptions) (string, error) {
	began := m.begin()
	etag, err := m.store.Put(ctx, key, body, opts)
	var size int64
	if err == nil {
		size, _ = body.Seek(0, io.SeekEnd) // its error says nothing of the object, which is stored
	}
	m.end(KindPut, began, err, func(s *Stats) {
		s.Puts++
		s.BytesOut += size
	})
	return etag, err
}

// Delete implements Deleter.
func (m *Metrics) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return m.store.Delete(ctx) // no request
	}
	began := m.begin()
	err := m.store.Delete(ctx, keys...)
	m.end(KindDelete, began, err, func(s *Stats) { s.Deletes++ })
	return err
}
