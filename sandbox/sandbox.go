package sandbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/sandbox/guest"
)

// Store is what a sandbox asks of the store: keys are those below the replica's prefix. Retries and the like are the store's affair.
type Store interface {
	objstore.RangeReader
	objstore.Lister
}

// Options say what runs where. The zero value works, if there is a module.
type Options struct {
	Limits Limits

	// Time and TXID choose a moment of the replica: a time as people write it, a transaction in hexadecimal. Both empty is the newest
	// one, and following.
	Time, TXID string
	// PollInterval is the age at which what is known of the replica is too old for a statement. Zero means one second; negative means
	// never.
	PollInterval time.Duration
	// Instances is how many statements may run at once; others wait. Each has Limits.Memory. Zero means as many as there are processors.
	Instances int
	// Module is the module as "make sandbox" builds it. Nil means the one in this program, if it was built with -tags
	// sandbox_embed; else the file that LITEFS_S3_SANDBOX_MODULE names; else litefs-s3.wasm.gz beside the program.
	Module []byte
	// CacheDir is where machine code is kept that was made of modules; nobody else must be able to write there. Empty means a
	// directory of ours in the user's cache directory.
	CacheDir string
	// Compiling, when not nil, is called before Open compiles a module whose machine code is not in CacheDir: that takes 15 seconds of
	// processor time. It must not block.
	Compiling func()
	// Log gets a line when the module was compiled. Nil discards.
	Log *slog.Logger

	sql int64 // of Limits.Memory for SQLite, in bytes; zero means what Limits say
}

// poll is the interval in milliseconds, as the module wants it.
func (o Options) poll() int64 {
	if o.PollInterval < 0 {
		return -1
	}
	return max(o.PollInterval.Milliseconds(), min(int64(o.PollInterval), 1))
}

// Sandbox runs statements on one replica. It is safe for concurrent use.
type Sandbox struct {
	opts   Options
	store  Store
	engine *engine
	slots  chan struct{} // holds a token for each statement that runs

	mu     sync.Mutex
	idle   []*instance // guarded by mu
	closed bool        // guarded by mu
}

// Open opens the replica in store with the default Options.
func Open(ctx context.Context, store Store, limits Limits) (*Sandbox, error) {
	return Options{Limits: limits}.Open(ctx, store)
}

// Open opens the replica in store. It makes the first instance, so that what is wrong with the replica, or with the module, shows here. Close
// the Sandbox.
func (o Options) Open(ctx context.Context, store Store) (*Sandbox, error) {
	o.Limits = o.Limits.withDefaults()
	if err := o.Limits.check(); err != nil {
		return nil, err
	}
	o.Instances = or(o.Instances, runtime.GOMAXPROCS(0))
	if err := o.findModule(); err != nil {
		return nil, err
	}
	e, err := acquire(ctx, o.Module, o.CacheDir, o.Compiling, cmp.Or(o.Log, slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	o.Module = nil // 17 MB that nobody needs any more
	s := &Sandbox{opts: o, store: store, engine: e, slots: make(chan struct{}, o.Instances)}
	first, err := newInstance(ctx, e, store, o)
	if err != nil {
		e.release()
		return nil, err
	}
	s.idle = append(s.idle, first)
	return s, nil
}

func (o *Options) findModule() (err error) {
	if o.Module == nil {
		if o.Module, err = guest.Load(); err != nil {
			return fmt.Errorf("%w: %w", ErrModule, err)
		}
	}
	if o.CacheDir == "" {
		o.CacheDir, err = defaultCacheDir()
	}
	return err
}

// Query begins a statement; it must be one. args are the values of its parameters, in order: nil, bool, integers, floating-point numbers,
// string, []byte, or a sql.NamedArg of these for a parameter like :name. Close the Rows: until then other statements may have to wait.
func (s *Sandbox) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	message, err := encode(query, args)
	if err != nil {
		return nil, err
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("sandbox: waiting for other statements: %w", context.Cause(ctx))
	}
	i, err := s.take(ctx)
	if err != nil {
		<-s.slots
		return nil, err
	}
	i.begin()
	body, err := i.call(ctx, "query", message)
	var columns []string
	if err == nil {
		columns, err = wasiabi.ParseColumns(body)
	}
	if err != nil {
		s.give(i)
		return nil, err
	}
	return &Rows{sandbox: s, instance: i, ctx: ctx, columns: columns}, nil
}

// encode makes a message of a statement and its arguments.
func encode(query string, args []any) ([]byte, error) {
	list := make([]wasiabi.Argument, len(args))
	for n, arg := range args {
		if named, ok := arg.(sql.NamedArg); ok {
			list[n].Name, arg = named.Name, named.Value
		}
		value, err := valueOf(arg)
		if err != nil {
			return nil, fmt.Errorf("sandbox: argument %d: %w", n+1, err)
		}
		list[n].Value = value
	}
	return wasiabi.AppendQuery(nil, query, list)
}

// take returns an instance that is idle, or a new one. The caller has a slot.
func (s *Sandbox) take(ctx context.Context) (*instance, error) {
	s.mu.Lock()
	closed, n := s.closed, len(s.idle)
	var i *instance
	if n > 0 {
		i, s.idle = s.idle[n-1], s.idle[:n-1]
	}
	s.mu.Unlock()
	switch {
	case closed:
		return nil, ErrClosed
	case i != nil:
		return i, nil
	}
	return newInstance(ctx, s.engine, s.store, s.opts)
}

// give takes back an instance, and its slot. One that is of no use any more is thrown away.
func (s *Sandbox) give(i *instance) {
	defer func() { <-s.slots }()
	useful := i.endQuery()
	s.mu.Lock()
	if useful = useful && !s.closed; useful {
		s.idle = append(s.idle, i)
	}
	s.mu.Unlock()
	if !useful {
		i.close()
	}
}

// Close ends the Sandbox. It waits for statements that run: end their contexts first when that must not take long.
func (s *Sandbox) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for range cap(s.slots) {
		s.slots <- struct{}{}
	}
	for range cap(s.slots) {
		<-s.slots // whoever waits finds it closed
	}
	for _, i := range idle {
		i.close()
	}
	s.engine.release()
	return nil
}

var errNoValue = errors.New("SQLite has no such value")
