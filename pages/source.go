package pages

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// ErrBudget: a statement would need more requests than it may make.
var ErrBudget = errors.New("request budget of the statement is used up")

// Rehomer finds the pages of a View in other files, when one of its files is gone. An *index.Tracker is one.
type Rehomer interface {
	Rehome(ctx context.Context, v *index.View, gone *index.File) error
	// Distrust is told that a frame of v is not what v says. Its error says that v was wrong, and is of no use; nil, that the
	// replica is.
	Distrust(ctx context.Context, v *index.View) error
}

// Local keeps pages nearer than the bucket is. A *hydrate.Copy is one. Its methods are safe for concurrent use and wait
// for nothing.
type Local interface {
	// ReadPage copies page pgno into dst if it is here at version, which is v's.
	ReadPage(v *index.View, pgno uint32, version index.TXID, dst []byte) bool
	// Has reports whether ReadPage would.
	Has(v *index.View, pgno uint32, version index.TXID) bool
	// Offer brings a page that was fetched. It may be kept, and must not be changed.
	Offer(v *index.View, pgno uint32, version index.TXID, page []byte)
}

// nowhere is the Local of a Source that has none.
type nowhere struct{}

func (nowhere) ReadPage(*index.View, uint32, index.TXID, []byte) bool { return false }
func (nowhere) Has(*index.View, uint32, index.TXID) bool              { return false }
func (nowhere) Offer(*index.View, uint32, index.TXID, []byte)         {}

// Source reads the pages of one replica. It is safe for concurrent use.
type Source struct {
	store   objstore.RangeReader
	rehomer Rehomer
	cache   *Cache
	owner   uint32
	local   atomic.Pointer[Local]

	recorder atomic.Pointer[recorder] // nil unless somebody wants to know what is read

	ctx    context.Context // of all fetches; ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex           // may be held when a lock of the cache is taken, never the other way
	flights  map[key]*flight      // fetches under way, by every page they will bring; guarded by mu
	readers  map[*Reader]struct{} // open ones; guarded by mu
	retired  Stats                // of closed readers; guarded by mu
	closed   bool                 // guarded by mu
	fetched  atomic.Int64
	ahead    atomic.Int64
	rehomed  atomic.Int64
	bytes    atomic.Int64
	maxAhead atomic.Int64

	slots      chan struct{} // holds one value for each request under way that was asked for ahead
	atlas      atlas
	trees      trees
	aheadLimit atomic.Int64  // bytes; see SetReadAheadLimit
	reserved   atomic.Int32  // bytes at the end of each page that SQLite does not use
	primed     atomic.Uint64 // the version of page 1 whose b-trees' roots were asked for, plus one
}

// Stats are plain numbers since the Source was made.
type Stats struct {
	Hits      int64 // pages found in the cache
	Local     int64 // pages that were not, and that the Local had
	Misses    int64 // pages that had to be fetched, waited for, or decoded from what came with an index
	Fetches   int64 // requests for pages
	Ahead     int64 // of these, requests nobody waited for when they began
	Bytes     int64 // bytes of frames fetched
	Rehomings int64 // times that a file had gone and its pages were looked for in others

	Guessed int64       // pages fetched ahead because of what interior pages and indexes say
	Right   int64       // of these, pages that were read
	Trees   []TreeStats // the same by b-tree, in the order of their roots
}

// NewSource returns a Source on the replica behind store, whose keys are those below the replica's prefix. Close it.
func NewSource(store objstore.RangeReader, rehomer Rehomer, cache *Cache) *Source {
	s := &Source{
		store: store, rehomer: rehomer, cache: cache, owner: cache.owners.Add(1),
		flights: make(map[key]*flight), readers: make(map[*Reader]struct{}), slots: make(chan struct{}, aheadSlots),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.maxAhead.Store(defaultMaxAhead)
	s.aheadLimit.Store(DefaultReadAheadLimit)
	s.SetLocal(nowhere{})
	return s
}

// SetLocal makes l the place to look for pages that are not in the cache, from now on. What is fetched is offered to it.
func (s *Source) SetLocal(l Local) { s.local.Store(&l) }

func (s *Source) near() Local { return *s.local.Load() }

// Admit keeps the bytes of pages that came with indexes. It is an index.Options.OnLoad.
func (s *Source) Admit(v *index.View, blobs []index.Blob) {
	leave, ok := s.enter()
	if !ok {
		return
	}
	defer leave()
	for i := len(blobs) - 1; i >= 0; i-- { // oldest first, so that the newest stay longest
		s.cache.putRaw(s.fileKey(v, blobs[i].File), blobs[i])
	}
}

// enter is for whoever fills the cache: Close waits for leave. It is false after Close.
func (s *Source) enter() (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	s.wg.Add(1)
	return s.wg.Done, true
}

func (s *Source) fileKey(v *index.View, f *index.File) fileKey {
	return fileKey{s.owner, v.History, f.Level, f.Min, f.Max, f.Size, f.ETag}
}

func (s *Source) key(v *index.View, p index.Page) key { return s.keyOf(v, p.Pgno, p.Version) }

func (s *Source) keyOf(v *index.View, pgno uint32, version index.TXID) key {
	return key{version: version, pgno: pgno, owner: s.owner, history: v.History}
}

// SetMaxAhead bounds the bytes that one reader may have fetched ahead of what was asked for. Zero turns read-ahead off.
func (s *Source) SetMaxAhead(n int64) { s.maxAhead.Store(n) }

// MaxAhead is the bound SetMaxAhead has set.
func (s *Source) MaxAhead() int64 { return s.maxAhead.Load() }

// SetReadAheadLimit bounds the bytes of pages that one transaction may have fetched ahead, by guesses from interior pages and indexes, and
// not read. Zero turns such guesses off.
func (s *Source) SetReadAheadLimit(n int64) { s.aheadLimit.Store(n) }

// ReadAheadLimit is the bound SetReadAheadLimit has set.
func (s *Source) ReadAheadLimit() int64 { return s.aheadLimit.Load() }

// Stats returns the counts of all readers, closed ones too.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.retired
	for r := range s.readers {
		st.Hits += r.hits.Load()
		st.Local += r.local.Load()
		st.Misses += r.misses.Load()
	}
	st.Fetches, st.Ahead = s.fetched.Load(), s.ahead.Load()
	st.Bytes, st.Rehomings = s.bytes.Load(), s.rehomed.Load()
	st.Trees = s.trees.stats()
	for _, t := range st.Trees {
		st.Guessed += t.Guessed
		st.Right += t.Right
	}
	return st
}

// Close cancels what is under way, waits for it, and forgets the replica's pages. Readers fail from now on.
func (s *Source) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	s.cache.drop(s.owner)
}
