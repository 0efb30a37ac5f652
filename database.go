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
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/pages"
	"github.com/litefs-s3/litefs-s3/pitr"
)

// cache is the memory for pages of the whole process.
var cache = pages.NewCache(DefaultCacheSize)

// database is one replica in this process: what all its connections share.
type database struct {
	name    string // the URL without query, for people
	log     *slog.Logger
	logFile io.Closer
	poll    time.Duration
	stale   time.Duration

	backend *backend
	store   objstore.Store // the backend with retries, limits and counts
	metrics *objstore.Metrics
	tracker *index.Tracker
	source  *pages.Source

	hydrates bool // a local copy is kept
	local    atomic.Pointer[hydrate.Copy]
	early    []index.Blob // came while the replica was opened, before there was a copy

	opened time.Time
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// openDatabase puts the pieces together, as the picture in docs/ARCHITECTURE.md shows them: store, tracker, pages, local copy.
func openDatabase(ctx context.Context, c Config) (*database, error) {
	log, logFile, err := c.logger()
	if err != nil {
		return nil, err
	}
	d := &database{name: redact(c.ReplicaURL), logFile: logFile, poll: c.PollInterval, stale: c.StaleAfter, opened: time.Now()}
	d.log = log.With(slog.String("replica", d.name))
	if err := d.open(ctx, c); err != nil {
		d.log.LogAttrs(ctx, slog.LevelWarn, "replica not opened", slog.Any("err", err))
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
	d.store, d.metrics = decorate(d.backend, d.log)
	if c.CacheSize > 0 {
		cache.SetBudget(c.CacheSize)
	}
	d.hydrates = c.hydrates()
	home := new(rehomer)
	d.source = pages.NewSource(d.store, home, cache)
	d.tracker, err = index.Open(ctx, d.store, index.Options{PollInterval: c.PollInterval, Log: d.log, OnLoad: d.onLoad})
	if err != nil {
		d.letGo()
		return err
	}
	home.tracker = d.tracker
	if c.MaxPrefetchPages != 0 {
		d.source.SetMaxAhead(max(int64(c.MaxPrefetchPages), 0) * int64(d.tracker.View().PageSize))
	}
	running, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	if err := d.openCopy(ctx, running, c); err != nil {
		cancel()
		d.letGo()
		return err
	}
	d.wg.Go(func() { d.tracker.Run(running) })
	v := d.tracker.View()
	d.log.LogAttrs(ctx, slog.LevelInfo, "replica opened", slog.String("txid", v.TXID.String()),
		slog.Int("files", len(v.Files())), slog.Int64("requests", d.metrics.Stats().Requests()),
		slog.Duration("took", time.Since(d.opened)))
	return nil
}

// rehomer is the tracker, for a source that has to be made before it.
type rehomer struct{ tracker *index.Tracker }

func (r *rehomer) Rehome(ctx context.Context, v *index.View, gone *index.File) error {
	return r.tracker.Rehome(ctx, v, gone)
}

func (d *database) close() {
	d.cancel()
	d.wg.Wait()
	d.closeCopy()
	d.letGo()
	d.log.LogAttrs(context.Background(), slog.LevelInfo, "replica closed")
	d.closeLog()
}

// letGo gives back memory and connections.
func (d *database) letGo() {
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

// newest returns the View for a transaction that begins now. first says that the connection has not read the newest state
// before: it must not begin with one that is known to be incomplete.
func (d *database) newest(ctx context.Context, first bool) (*index.View, error) {
	state := d.tracker.State()
	if first && errors.Is(state.Err, index.ErrGap) {
		return nil, fmt.Errorf("%w; or open it at the last moment before the gap with txid=%s", state.Err, d.tracker.View().TXID)
	}
	age := time.Since(state.LastGood)
	if d.poll > 0 && age > 2*d.poll {
		d.tracker.Wake()
	}
	if d.stale > 0 && age > d.stale {
		if err := d.tracker.Poll(ctx); err != nil {
			return nil, fmt.Errorf("the last good poll was %s ago, more than stale_after=%s: %w", age.Round(time.Millisecond), d.stale, err)
		}
	}
	return d.tracker.View(), nil
}

// at returns the View at an instant. Files that are merged meanwhile make it look again.
func (d *database) at(ctx context.Context, when time.Time) (v *index.View, err error) {
	return d.past(ctx, func(tl *index.Timeline) (index.TXID, error) { return pitr.Locate(ctx, tl, when) })
}

func (d *database) atTXID(ctx context.Context, txid index.TXID) (*index.View, error) {
	if v := d.tracker.View(); v.TXID == txid {
		return v, nil
	}
	return d.past(ctx, func(*index.Timeline) (index.TXID, error) { return txid, nil })
}

func (d *database) past(ctx context.Context, choose func(*index.Timeline) (index.TXID, error)) (v *index.View, err error) {
	const attempts = 3
	for range attempts {
		tl, err := d.tracker.Timeline(ctx)
		if err != nil {
			return nil, err
		}
		txid, err := choose(tl)
		if err == nil {
			v, err = tl.At(ctx, txid)
		}
		if err == nil || !mergedMeanwhile(err) {
			return v, err
		}
	}
	return nil, err
}

func mergedMeanwhile(err error) bool {
	return errors.Is(err, index.ErrViewExpired) || errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged)
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
	db    *database
	err   error
}

// acquire returns the one database for a configuration. Settings that all its connections share must agree.
func (r *registry) acquire(ctx context.Context, c Config) (*entry, error) {
	key := c.identity()
	r.mu.Lock()
	e, ok := r.open[key]
	if ok {
		if err := e.conf.agrees(c); err != nil {
			r.mu.Unlock()
			return nil, err
		}
		e.refs++
		r.mu.Unlock()
		return r.join(ctx, e)
	}
	e = &entry{key: key, conf: c, refs: 1, ready: make(chan struct{})}
	r.open[key] = e
	r.mu.Unlock()
	e.db, e.err = openDatabase(ctx, c)
	close(e.ready)
	return r.join(ctx, e)
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

// release gives up one use. The last one closes the replica.
func (r *registry) release(e *entry) {
	r.mu.Lock()
	e.refs--
	last := e.refs == 0
	if last && r.open[e.key] == e {
		delete(r.open, e.key)
	}
	r.mu.Unlock()
	if last { // whoever opens it has a reference, so it is ready
		<-e.ready
		if e.db != nil {
			e.db.close()
		}
	}
}
