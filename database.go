package litefss3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/pages"
	"github.com/litefs-s3/litefs-s3/pitr"
	"github.com/litefs-s3/litefs-s3/vfs"
	"github.com/litefs-s3/litefs-s3/writer"
)

// cache is the memory for pages of the whole process.
var cache = pages.NewCache(DefaultCacheSize)

// database is one replica in this process: what all its connections share.
type database struct {
	tracer  Tracer // nil is none
	name    string // the URL without query, for people
	log     *slog.Logger
	logFile io.Closer
	poll    time.Duration
	stale   time.Duration
	ahead   int // pages to read ahead; 0 is the default, negative none

	backend *backend
	store   decorated                     // the backend with retries, limits and counts
	replica atomic.Pointer[index.Tracker] // nil until something is in the bucket
	source  *pages.Source

	hydrates bool // a local copy is kept
	local    atomic.Pointer[hydrate.Copy]
	early    []index.Blob // came while the replica was opened, before there was a copy
	tables   string       // the file that keeps page tables for the next process; empty is none
	sidecar  SidecarMode

	enabling    chan struct{} // holds one token: whoever has it may open the writer
	polls       atomic.Int64
	pollsFailed atomic.Int64
	corrupted   atomic.Int64 // statements that met bytes that are not what they should be
	compaction  compactions

	inUse       bool // its log is another process's, and somebody waits for that; for who may open the writer
	writer      atomic.Pointer[writer.Writer]
	whyNot      atomic.Pointer[error] // why there is no writer
	writes      Config                // of the writer
	writing     sync.WaitGroup
	stopWriting context.CancelFunc

	asked   atomic.Int64 // when somebody last wanted to read what is new, as a time.Duration since opened
	opened  time.Time
	wanted  context.Context // ends when the database is about to be closed
	give    context.CancelFunc
	running context.Context // ends when the database is closed
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// openDatabase puts the pieces together, as the picture in docs/ARCHITECTURE.md shows them: store, tracker, pages, local copy.
func openDatabase(ctx context.Context, c Config) (*database, error) {
	log, logFile, err := c.logger()
	if err != nil {
		return nil, err
	}
	d := &database{
		tracer: c.Tracer, name: redact(c.ReplicaURL), logFile: logFile, opened: time.Now(),
		poll: c.PollInterval, stale: c.StaleAfter, ahead: c.MaxPrefetchPages, hydrates: c.hydrates(),
		tables: c.tablesPath(), sidecar: c.Sidecar,
		enabling: make(chan struct{}, 1),
	}
	d.log = log.With(slog.String("replica", d.name))
	if err := d.open(ctx, c); err != nil {
		d.log.LogAttrs(ctx, slog.LevelWarn, "replica not opened", slog.Any("err", err))
		d.trace(ctx, "open", d.opened, err)
		d.closeLog()
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	return d, nil
}

func (d *database) open(ctx context.Context, c Config) error {
	var err error
	if d.backend, err = openStore(ctx, c); err != nil {
		return err
	}
	d.store = decorate(d.backend, d.log)
	if c.CacheSize > 0 {
		cache.SetBudget(c.CacheSize)
	}
	d.source = pages.NewSource(d.fetching(), rehomer{d}, cache)
	if c.ReadAheadLimit != 0 {
		d.source.SetReadAheadLimit(max(c.ReadAheadLimit, 0))
	}
	d.running, d.cancel = context.WithCancel(context.Background())
	d.wanted, d.give = context.WithCancel(d.running)
	_, err = d.openReplica(ctx, c)
	if errors.Is(err, index.ErrNoReplica) && c.writes() {
		d.log.LogAttrs(ctx, slog.LevelInfo, "nothing is in the bucket; the first commit makes a new database")
		return nil
	}
	if err != nil {
		d.letGo()
	}
	return err
}

// openReplica opens the follower of what is in the bucket, and what depends on that.
func (d *database) openReplica(ctx context.Context, c Config) (*index.Tracker, error) {
	began := time.Now()
	borrowed := d.borrowing(c)
	t, err := index.Open(ctx, d.store, index.Options{
		PollInterval: c.PollInterval, Log: d.log, OnLoad: d.onLoad, Layouts: borrowed.layouts,
		OnPoll: d.polled, Idle: d.idle,
	})
	if err != nil {
		return nil, err
	}
	d.replica.Store(t)
	v := t.View()
	d.setAhead(d.ahead, v.PageSize)
	if err := d.openCopy(ctx, c, t); err != nil {
		d.replica.Store(nil)
		return nil, err
	}
	borrowed.use(v)
	d.follow(t)
	if borrowed.some {
		d.wg.Go(func() { d.verify(t) })
	}
	if !borrowed.fresh {
		d.wg.Go(d.saveTables) // now, for a process may end without closing anything
	}
	if c.Sidecar == WriteSidecar {
		d.source.Record(profilePages)
		d.wg.Go(func() { d.profile(c.CloseTimeout) })
	}
	d.log.LogAttrs(ctx, slog.LevelInfo, "replica opened", slog.String("txid", v.TXID.String()),
		slog.Int("files", len(v.Files())), slog.Int64("requests", d.store.metrics.Stats().Requests()),
		slog.Duration("took", time.Since(d.opened)))
	d.trace(ctx, "open", began, nil, slog.String("txid", v.TXID.String()), slog.Int("files", len(v.Files())))
	return t, nil
}

// tracker follows the replica. It is nil while nothing is in the bucket.
func (d *database) tracker() *index.Tracker { return d.replica.Load() }

// state is how well the replica is followed.
func (d *database) state() index.State {
	if t := d.tracker(); t != nil {
		return t.State()
	}
	now := time.Now()
	return index.State{LastGood: now, Certain: now}
}

func (d *database) pollInterval() time.Duration {
	if t := d.tracker(); t != nil {
		return t.PollInterval()
	}
	return d.poll
}

// pageSize is that of the replica, in bytes; SQLite's default while there is none.
func (d *database) pageSize() uint32 {
	if t := d.tracker(); t != nil {
		return t.View().PageSize
	}
	return 4096
}

// setAhead bounds what a connection reads ahead: pages of so many bytes each.
func (d *database) setAhead(pages int, pageSize uint32) {
	if pages != 0 {
		d.source.SetMaxAhead(max(int64(pages), 0) * int64(pageSize))
	}
}

// errNothingThere: only what is in the bucket has a past.
var errNothingThere = errors.New("nothing is in the bucket yet")

// rehomer is the tracker, for a source that has to be made before it.
type rehomer struct{ d *database }

func (r rehomer) Rehome(ctx context.Context, v *index.View, gone *index.File) error {
	return r.d.tracker().Rehome(ctx, v, gone)
}

func (r rehomer) Distrust(ctx context.Context, v *index.View) error {
	return r.d.tracker().Distrust(ctx, v)
}

// close ends everything. What was committed and could not be uploaded is in the error.
func (d *database) close() error {
	d.give()
	d.enabling <- struct{}{} // for good: no writer is opened any more
	err := d.closeWriter()
	d.cancel()
	d.wg.Wait()
	d.saveTables()
	d.closeCopy()
	d.letGo()
	d.log.LogAttrs(context.Background(), slog.LevelInfo, "replica closed")
	d.closeLog()
	return err
}

// letGo gives back memory and connections.
func (d *database) letGo() {
	d.cancel()
	d.source.Close()
	if d.backend.closeIdle != nil {
		d.backend.closeIdle()
	}
}

func (d *database) closeLog() {
	if d.logFile != nil {
		d.logFile.Close()
	}
}

// newest returns what a transaction reads that begins now. first says that the connection has not read the newest state
// before: it must not begin with one that is known to be incomplete.
func (d *database) newest(ctx context.Context, first bool) (vfs.Snapshot, error) {
	t, w := d.tracker(), d.writer.Load()
	if t != nil {
		if err := d.fresh(ctx, t, first); err != nil {
			return vfs.Snapshot{}, err
		}
	}
	switch {
	case w != nil:
		return snapshotOf(w.Snapshot()), nil
	case t != nil:
		return vfs.SnapshotOf(t.View()), nil
	}
	return vfs.Snapshot{}, nil // a database that is not there yet, and that somebody else is about to make
}

// fresh sees to it that what the tracker has may be read.
func (d *database) fresh(ctx context.Context, t *index.Tracker, first bool) error {
	if err := d.rouse(ctx, t); err != nil {
		return err
	}
	state := t.State()
	if first && errors.Is(state.Err, index.ErrGap) {
		return fmt.Errorf("%w; or open it at the last moment before the gap with txid=%s", state.Err, t.View().TXID)
	}
	age := state.Lag(time.Now())
	if d.poll > 0 && age > 2*d.poll {
		t.Wake()
	}
	if d.stale > 0 && age > d.stale {
		if err := t.Freshen(ctx, d.stale); err != nil {
			return fmt.Errorf("the last good poll was %s ago, more than stale_after=%s: %w", age.Round(time.Millisecond), d.stale, err)
		}
	}
	return nil
}

// at returns the View at an instant.
func (d *database) at(ctx context.Context, when time.Time) (*index.View, error) {
	t := d.tracker()
	if t == nil {
		return nil, errNothingThere
	}
	return pitr.ViewAt(ctx, t, when)
}

func (d *database) atTXID(ctx context.Context, txid index.TXID) (*index.View, error) {
	t := d.tracker()
	if t == nil {
		return nil, errNothingThere
	}
	return pitr.ViewAtTXID(ctx, t, txid)
}

// databases are the replicas that are open in this process.
var databases = registry{open: map[string]*entry{}}

type registry struct {
	mu   sync.Mutex
	open map[string]*entry // guarded by mu
}

// entry is a replica that is open, or being opened by the first who asked for it.
type entry struct {
	key   string
	conf  Config
	refs  int           // guarded by registry.mu
	ready chan struct{} // closed when db and err are set
	gone  chan struct{} // closed when nobody has it open any more, and all its files are closed
	db    *database
	err   error
}

// acquire returns the one database for a configuration. Settings that all its connections share must agree. One that is just being
// closed still has its files: whoever comes then waits, and opens it again.
func (r *registry) acquire(ctx context.Context, c Config) (*entry, error) {
	key := c.identity()
	for {
		r.mu.Lock()
		e, ok := r.open[key]
		switch {
		case !ok:
			e = &entry{key: key, conf: c, refs: 1, ready: make(chan struct{}), gone: make(chan struct{})}
			r.open[key] = e
			r.mu.Unlock()
			e.db, e.err = openDatabase(ctx, c)
			close(e.ready)
			return r.join(ctx, e)
		case e.refs > 0:
			if err := e.conf.agrees(c); err != nil {
				r.mu.Unlock()
				return nil, err
			}
			e.refs++
			r.mu.Unlock()
			return r.join(ctx, e)
		}
		r.mu.Unlock()
		select {
		case <-e.gone:
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is still being closed in this process: %w", redact(c.ReplicaURL), ctx.Err())
		}
	}
}

// join waits for an entry to be ready.
func (r *registry) join(ctx context.Context, e *entry) (*entry, error) {
	select {
	case <-e.ready:
	case <-ctx.Done():
		select {
		case <-e.ready: // it says more than that time is up
		default:
			r.release(e)
			return nil, ctx.Err()
		}
	}
	if e.err != nil {
		r.release(e)
		return nil, e.err
	}
	return e, nil
}

// release gives up one use. The last one closes the replica, and has to say what was not uploaded.
func (r *registry) release(e *entry) (err error) {
	r.mu.Lock()
	e.refs--
	last := e.refs == 0
	r.mu.Unlock()
	if !last {
		return nil
	}
	<-e.ready // whoever opens it has a reference, so it is
	if e.db != nil {
		err = e.db.close()
	}
	r.mu.Lock()
	delete(r.open, e.key)
	r.mu.Unlock()
	close(e.gone)
	return err
}
