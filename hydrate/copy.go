package hydrate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Copy is the local copy of one replica. Its methods are safe for concurrent use.
type Copy struct {
	name    string // of the replica
	store   objstore.RangeReader
	history History
	opts    Options
	log     *slog.Logger
	place   place

	picture atomic.Pointer[picture]
	present atomic.Int64 // pages
	fetched atomic.Int64 // bytes, by the walk
	stopped atomic.Bool  // nothing is written for now: see status.trouble
	full    atomic.Bool  // the walk is wanted

	offers   chan offer
	claims   chan *batch // what workers want to write
	written  chan *batch // what they have written
	troubles chan error  // what the walk finds wrong with the disk
	heads    headBox
	changes  signal // raised when there may be something to do for the walk, or to tell those who wait

	mu     sync.Mutex
	status status   // guarded by mu
	tables []string // to be fetched first; guarded by mu
	closed bool     // guarded by mu
	cancel func()   // ends Run; nil when it does not run; guarded by mu
	done   chan struct{}

	owner
}

// owner is what only the owner of the files uses: Open, then Run, then Close.
type owner struct {
	ledger *ledger // nil for a temporary copy
	size   int64   // of the database file in bytes, or unknownSize

	claimed map[uint32]bool // absent pages that workers are writing
	dirty   bool            // the picture holds more than the ledger
	syncing *bitmap         // the pages that a flush under way makes last; nil when there is none
	synced  chan error

	saveTimer   *time.Timer // runs while dirty
	retryTimer  *time.Timer // runs while stopped
	told        time.Time   // last call of OnProgress
	toldPresent int64       // pages, then
	began       time.Time   // of the hydration under way
	complete    bool        // every page is present
	hydrated    bool        // that has been so since began
	units       int64       // that have pages; see holeUnit
	hand        uint32      // of eviction: the last page it has looked at
}

// unknownSize is the size of a file after a write to it has failed.
const unknownSize = -1

// offer is a page that a query has fetched. One without content is a page that could not be read from the file.
type offer struct {
	history uint32
	pgno    uint32
	version index.TXID
	page    []byte
}

// offersAhead is how many bytes of offered pages may wait to be written.
const offersAhead = 2 << 20

// Open opens the copy of the replica called name, or begins one. head is the newest View, store what it reads from. What is
// present of an older copy is kept as far as history tells that it is still right; a copy of another history or replica is
// thrown away. It starts nothing: Run does.
func Open(ctx context.Context, store objstore.RangeReader, name string, head *index.View, history History, opts Options) (*Copy, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	sweepTemporary(opts.Log)
	p, err := openPlace(opts.Path)
	if err != nil {
		return nil, err
	}
	c := &Copy{
		name: name, store: store, history: history, opts: opts, place: p,
		log:      opts.Log.With(slog.String("path", p.path)), // the caller's knows the replica
		offers:   make(chan offer, max(offersAhead/int(head.PageSize), 16)),
		claims:   make(chan *batch),
		written:  make(chan *batch),
		troubles: make(chan error),
		heads:    headBox{poke: make(chan struct{}, 1)},
		tables:   slices.Clone(opts.Tables),
	}
	c.claimed = map[uint32]bool{}
	c.full.Store(opts.Mode == Full)
	c.synced = make(chan error, 1)
	c.saveTimer, c.retryTimer = stoppedTimer(), stoppedTimer()
	if p.dir == "" {
		c.ledger = newLedger(p.path+stateSuffix, opts.faults)
	}
	if err := c.resume(ctx, head); err != nil {
		return nil, errors.Join(fmt.Errorf("local copy %s: %w", p.path, err), p.close())
	}
	return c, nil
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// ReadPage copies page pgno into dst if the file has it at version, which is v's; len(dst) is v.PageSize. It takes one read of
// the file, and waits for nothing.
func (c *Copy) ReadPage(v *index.View, pgno uint32, version index.TXID, dst []byte) bool {
	before := c.picture.Load()
	if !before.holds(v, pgno, version) {
		return false
	}
	if _, err := c.place.file.ReadAt(dst, pageOffset(pgno, v.PageSize)); err != nil {
		c.doubt(v, pgno, version)
		return false
	}
	after := c.picture.Load()
	if after != before && after.holes != before.holes || !after.holds(v, pgno, version) {
		return false // it changed under the read
	}
	if after.used != nil {
		after.used.set(pgno)
	}
	return true
}

// Has reports whether ReadPage would find page pgno at version, which is v's.
func (c *Copy) Has(v *index.View, pgno uint32, version index.TXID) bool {
	return c.picture.Load().holds(v, pgno, version)
}

// doubt says that a page that should be there cannot be read.
func (c *Copy) doubt(v *index.View, pgno uint32, version index.TXID) {
	select {
	case c.offers <- offer{history: v.History, pgno: pgno, version: version}:
	default:
	}
}

// Offer leaves a page that was fetched: page pgno at version, which is v's. It never waits: when too many are waiting to be
// written the page is not kept. page is as the bucket has it, and nobody may write to it any more.
func (c *Copy) Offer(v *index.View, pgno uint32, version index.TXID, page []byte) {
	p := c.picture.Load()
	if c.stopped.Load() || p.present.has(pgno) || !p.knows(v, pgno, version) {
		return
	}
	select {
	case c.offers <- offer{v.History, pgno, version, page}:
	default:
	}
}

// Advance says that v is the head now, and that blobs came with its files. It does not wait: until the copy has moved, what did not
// change is served from it, and what did is not. A View older than the copy's is nothing new; its blobs may be of use.
// Call it for each new head, best before anyone can read it, and also when there are no blobs.
func (c *Copy) Advance(v *index.View, blobs []index.Blob) { c.heads.put(v, blobs) }

// Hydrate makes the copy fetch everything, and the given tables with their indexes first.
func (c *Copy) Hydrate(tables ...string) error {
	if c.opts.MaxBytes > 0 {
		return errors.New("a local copy with a size limit cannot hold the whole database")
	}
	c.mu.Lock()
	c.tables = append(c.tables, tables...)
	c.mu.Unlock()
	c.full.Store(true)
	c.changes.raise()
	return nil
}

// Wait returns nil when every page of the newest View is in the file, at once or after the time it takes. It does not wait
// for a copy that is stopped, for instance by a disk that is full: then it returns why.
func (c *Copy) Wait(ctx context.Context) error {
	for {
		news := c.changes.wait()
		p := c.Progress()
		switch {
		case p.State == Closed:
			return ErrClosed
		case p.State == Complete:
			return nil
		case p.State == Stopped:
			return p.Err
		case p.State == Idle:
			return ErrNotHydrating
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d pages are local: %w", p.Present, p.Total, errors.Join(context.Cause(ctx), p.Err))
		}
	}
}

// Run fills the copy and keeps it up to date, until ctx ends or the copy is closed.
func (c *Copy) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	if c.closed || c.cancel != nil {
		c.mu.Unlock()
		return
	}
	done := make(chan struct{})
	c.cancel, c.done = cancel, done
	c.mu.Unlock()

	var wg sync.WaitGroup
	wg.Go(func() { c.walk(ctx) })
	c.own(ctx)
	wg.Wait()

	c.mu.Lock()
	c.cancel = nil
	c.mu.Unlock()
	close(done)
}

// Close ends Run, brings everything to disk, and lets go of the files; a temporary copy is removed. What is present is found by
// the next Open. When all is present the database file is an ordinary one.
func (c *Copy) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	cancel, done := c.cancel, c.done
	c.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	err := c.saveForGood()
	if c.ledger != nil {
		c.ledger.close()
	}
	err = errors.Join(err, c.place.close())
	p := c.picture.Load()
	c.picture.Store(newPicture(p.view, newBitmap(0), false)) // nobody reads a file that is closed
	c.changes.raise()
	c.tell()
	c.log.Info("local copy closed", slog.Int64("present", c.present.Load()), slog.Int("pages", p.total()))
	if err != nil {
		return fmt.Errorf("local copy %s: %w", c.place.path, err)
	}
	return nil
}

// wantedTables are those to be fetched first.
func (c *Copy) wantedTables() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.tables)
}

// haveTables takes tables off that list.
func (c *Copy) haveTables(tables []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tables = c.tables[len(tables):] // later ones were appended
}

// dir is where the files are.
func (c *Copy) dir() string { return filepath.Dir(c.place.path) }

// signal wakes all who wait for it.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // closed by the next raise; guarded by mu
}

// wait returns a channel that the next raise closes.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// headBox holds the newest head until the owner takes it.
type headBox struct {
	poke chan struct{} // has room for one
	busy atomic.Bool   // the owner has not dealt with everything: absent pages may be about to come

	mu    sync.Mutex
	view  *index.View  // guarded by mu
	blobs []index.Blob // guarded by mu
	bytes int          // of blobs; guarded by mu
}

// maxBlobs bounds the bytes that came with new heads and are not written yet. What is beyond the walk fetches.
const maxBlobs = 16 << 20

func (b *headBox) put(v *index.View, blobs []index.Blob) {
	b.mu.Lock()
	if b.view == nil || v.History > b.view.History || v.History == b.view.History && v.TXID > b.view.TXID {
		b.view = v
	}
	for _, blob := range blobs {
		if b.bytes+len(blob.Data) <= maxBlobs {
			b.blobs = append(b.blobs, blob)
			b.bytes += len(blob.Data)
		}
	}
	b.busy.Store(true)
	b.mu.Unlock()
	select {
	case b.poke <- struct{}{}:
	default:
	}
}

// take empties the box. The View is nil when it was empty.
func (b *headBox) take() (*index.View, []index.Blob) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, blobs := b.view, b.blobs
	b.view, b.blobs, b.bytes = nil, nil, 0
	return v, blobs
}

// settle says that what was taken is dealt with.
func (b *headBox) settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy.Store(b.view != nil)
}
