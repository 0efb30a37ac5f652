package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/pages"
	"github.com/litefs-s3/litefs-s3/pitr"
	"github.com/litefs-s3/litefs-s3/vfs"
)

const (
	// DefaultCacheSize is the memory for pages, in bytes. A browser's tab has less to spare than a server.
	DefaultCacheSize = 32 << 20
	// maxRequests is how many requests a replica has under way at once. A browser makes six at a time to a host that speaks
	// HTTP/1.1, and keeps the others in order; with HTTP/2 all of them go.
	maxRequests = 24
	// attempts is how often a request is made before its caller hears that it fails: a person waits, and can try again.
	attempts = 5
)

// Options are settings of a Replica. The zero value is fit for use.
type Options struct {
	// PollInterval is the time between two looks for news. Zero is one second, negative never.
	PollInterval time.Duration
	// CacheSize is the bytes of pages kept in memory. Zero is 32 MiB.
	CacheSize int64
	// Interruptible, when not nil, makes of the context of a statement one that SQLite asks whether it has ended. Where nothing else
	// runs while a statement does, this is where others get their turn.
	Interruptible func(context.Context) context.Context
	// Log gets one line per event that one would want to know of. Nil discards.
	Log *slog.Logger
}

// Replica is one replica, open to read. Its methods are safe for concurrent use.
type Replica struct {
	name    string // of the file, as SQLite knows it
	opts    Options
	metrics *objstore.Metrics // of the requests on the wire
	tracker *index.Tracker
	source  *pages.Source
	cache   *pages.Cache
	polls   atomic.Int64
	moments atomic.Int64 // made so far
	running context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// replicas counts them, to give each a name.
var replicas atomic.Int64

// Open opens the replica in store, whose keys begin below the replica's prefix, and follows it.
func Open(ctx context.Context, store objstore.Store, opts Options) (*Replica, error) {
	register()
	if opts.CacheSize == 0 {
		opts.CacheSize = DefaultCacheSize
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	r := &Replica{name: fmt.Sprintf("replica%d", replicas.Add(1)), opts: opts, cache: pages.NewCache(opts.CacheSize)}
	r.metrics = objstore.NewMetrics(store)
	decorated := objstore.Retry(objstore.Limit(r.metrics, maxRequests), objstore.RetryOptions{Attempts: attempts})
	r.source = pages.NewSource(decorated, rehomer{r}, r.cache)
	borrowed := &borrowing{store: decorated, log: opts.Log}
	var err error
	r.tracker, err = index.Open(ctx, decorated, index.Options{
		PollInterval: opts.PollInterval, Log: opts.Log, OnLoad: r.source.Admit, OnPoll: r.polled, Layouts: borrowed.layouts,
	})
	if err != nil {
		r.source.Close()
		return nil, err
	}
	r.running, r.cancel = context.WithCancel(context.Background())
	r.use(borrowed)
	r.wg.Go(func() { r.tracker.Run(r.running) })
	if borrowed.lent() {
		r.wg.Go(r.verify)
	}
	return r, nil
}

func (r *Replica) polled(context.Context, time.Time, error) { r.polls.Add(1) }

// Close ends following. All moments must have been closed.
func (r *Replica) Close() {
	r.cancel()
	r.wg.Wait()
	r.source.Close()
}

// Latest returns the newest state, and follows it from then on. Close it.
func (r *Replica) Latest() *Moment { return r.moment(nil, "") }

// At returns the state at what a person has written as a time. "latest" is [Replica.Latest]. Close it.
func (r *Replica) At(ctx context.Context, phrase string) (*Moment, error) {
	target, err := pitr.Parse(phrase, time.Now())
	if err != nil {
		return nil, err
	}
	if target.IsLatest() {
		return r.Latest(), nil
	}
	v, err := pitr.ViewAt(ctx, r.tracker, target.At)
	if err != nil {
		return nil, err
	}
	return r.moment(v, phrase), nil
}

// AtTXID returns the state at a TXID, which is written in hexadecimal. Close it.
func (r *Replica) AtTXID(ctx context.Context, text string) (*Moment, error) {
	txid, err := parseTXID(text)
	if err != nil {
		return nil, err
	}
	v, err := pitr.ViewAtTXID(ctx, r.tracker, txid)
	if err != nil {
		return nil, err
	}
	return r.moment(v, "txid "+text), nil
}

func (r *Replica) moment(v *index.View, asked string) *Moment {
	m := &Moment{
		replica: r, view: v, asked: asked, name: fmt.Sprintf("%s-%d", r.name, r.moments.Add(1)),
		slots: make(chan struct{}, maxConnections), open: map[*Cursor]struct{}{},
	}
	moments.Store(m.name, m)
	return m
}

// moments are those that are open, by the names that SQLite knows them by.
var moments sync.Map // string → *Moment

// vfsName is the VFS by which connections are opened.
const vfsName = "litefs-s3"

// register makes the VFS known to SQLite, once.
var register = sync.OnceFunc(func() {
	vfs.Register(vfsName, func(_ context.Context, name string, params url.Values) (vfs.Database, error) {
		m, ok := moments.Load(name)
		if !ok {
			return nil, fmt.Errorf("no replica is open under the name %q: %w", name, ErrArgument)
		}
		if len(params) > 0 {
			return nil, fmt.Errorf("unknown parameters %v: %w", params, ErrArgument)
		}
		moment := m.(*Moment)
		return &database{Reader: moment.replica.source.NewReader(), replica: moment.replica, moment: moment}, nil
	})
})

// rehomer is the tracker, for a source that has to be made before it.
type rehomer struct{ r *Replica }

func (h rehomer) Rehome(ctx context.Context, v *index.View, gone *index.File) error {
	return h.r.tracker.Rehome(ctx, v, gone)
}

func (h rehomer) Distrust(ctx context.Context, v *index.View) error {
	return h.r.tracker.Distrust(ctx, v)
}

// errReadOnly: nothing here writes.
var errReadOnly = errors.New("a replica is read-only here")
