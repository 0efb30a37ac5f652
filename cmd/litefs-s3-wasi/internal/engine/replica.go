package engine

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/pages"
	"github.com/litefs-s3/litefs-s3/pitr"
	"github.com/litefs-s3/litefs-s3/vfs"
)

// Options of a Replica. The zero value reads the newest state.
type Options struct {
	// Time and TXID choose a moment, as in a URI; both empty is the newest one, and following.
	Time, TXID string
	// PollInterval is the age at which what is known of the replica is too old for a query. Zero means one second; negative means never.
	PollInterval time.Duration
	// CacheSize is for pages, in bytes. Zero means 8 MiB.
	CacheSize int64
	// Memory is what SQLite may have for one statement, in bytes. Zero means 32 MiB.
	Memory int64
}

func (o Options) withDefaults() Options {
	if o.PollInterval == 0 {
		o.PollInterval = time.Second
	}
	if o.CacheSize == 0 {
		o.CacheSize = 8 << 20
	}
	if o.Memory == 0 {
		o.Memory = 32 << 20
	}
	return o
}

// Replica is the picture of docs/ARCHITECTURE.md for one database: store, tracker, pages, VFS. It is used by one goroutine at a time.
type Replica struct {
	opts    Options
	uri     string
	tracker *index.Tracker
	source  *pages.Source
	past    *index.View // the moment that was chosen; nil when following
	polled  time.Time
}

// replicas counts them, to give the VFS of each a name.
var replicas atomic.Int64

// Open opens the replica behind store.
func Open(ctx context.Context, store index.Reader, o Options) (*Replica, error) {
	r := &Replica{opts: o.withDefaults()}
	r.source = pages.NewSource(store, r, pages.NewCache(r.opts.CacheSize))
	if err := r.open(ctx, store); err != nil {
		r.source.Close()
		return nil, err
	}
	name := "replica-" + strconv.FormatInt(replicas.Add(1), 10)
	vfs.Register(name, func(context.Context, string, url.Values) (vfs.Database, error) { return connect(r), nil })
	r.uri = "file:replica?mode=ro&vfs=" + name + "&_pragma=temp_store(memory)&_pragma=trusted_schema(off)&_pragma=cell_size_check(on)"
	return r, nil
}

func (r *Replica) open(ctx context.Context, store index.Reader) (err error) {
	r.tracker, err = index.Open(ctx, store, index.Options{PollInterval: -1, OnLoad: r.source.Admit})
	if err != nil {
		return err
	}
	r.polled = time.Now()
	if r.past, err = r.choose(ctx); err != nil || r.past != nil {
		return err
	}
	return r.tracker.State().Err // a gap: this is not the newest state
}

// choose finds the moment that the options ask for, or nil.
func (r *Replica) choose(ctx context.Context) (*index.View, error) {
	switch {
	case r.opts.Time != "" && r.opts.TXID != "":
		return nil, fmt.Errorf("%w: time %q and txid %q are both given; use one", ErrUsage, r.opts.Time, r.opts.TXID)
	case r.opts.Time != "":
		target, err := pitr.Parse(r.opts.Time, time.Now())
		if err != nil || target.IsLatest() {
			return nil, err
		}
		return pitr.ViewAt(ctx, r.tracker, target.At)
	case r.opts.TXID != "" && r.opts.TXID != "latest":
		n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(r.opts.TXID), "0x"), 16, 64)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%w: txid %q is not one; it is up to 16 hexadecimal digits, like 000000000000002a, or latest", ErrUsage, r.opts.TXID)
		}
		return pitr.ViewAtTXID(ctx, r.tracker, index.TXID(n))
	}
	return nil, nil
}

// View is what a statement that begins now reads. It looks for news when the last look was too long ago, and what it cannot find out is
// an error: there is nobody who would look again later.
func (r *Replica) View(ctx context.Context) (*index.View, error) {
	if r.past != nil {
		return r.past, nil
	}
	if every := r.opts.PollInterval; every >= 0 && time.Since(r.polled) >= every {
		if err := r.tracker.Poll(ctx); err != nil {
			return nil, fmt.Errorf("looking for news: %w", err)
		}
		r.polled = time.Now()
		if err := r.tracker.State().Err; err != nil {
			return nil, err
		}
	}
	return r.tracker.View(), nil
}

// Close gives back what the replica holds. Its queries must be closed.
func (r *Replica) Close() { r.source.Close() }

// Rehome and Distrust are the tracker's, for a source that has to be made before it.
func (r *Replica) Rehome(ctx context.Context, v *index.View, gone *index.File) error {
	return r.tracker.Rehome(ctx, v, gone)
}

func (r *Replica) Distrust(ctx context.Context, v *index.View) error {
	return r.tracker.Distrust(ctx, v)
}
