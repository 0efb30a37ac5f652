package litefss3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/pages"
	"github.com/litefs-s3/litefs-s3/pitr"
	"github.com/litefs-s3/litefs-s3/vfs"
)

// connection is one open of a replica: a vfs.Database.
type connection struct {
	*pages.Reader
	entry    *entry
	db       *database
	file     string // by which it was opened
	conf     Config
	reads    bool // the newest state has been read
	writable bool // it was opened to write
}

var _ vfs.Database = (*connection)(nil)

// names are the replicas that Register has given names.
var names = struct {
	mu       sync.Mutex
	conf     map[string]Config // guarded by mu
	unsynced map[string]error  // what could not be uploaded at the last close; guarded by mu
}{conf: map[string]Config{}, unsynced: map[string]error{}}

// configure returns the Config for an open: the URI over what is registered under the file's name over the environment.
func configure(file string, params url.Values) (Config, error) {
	c, err := fromEnvironmentOnce()
	if err != nil {
		return c, err
	}
	names.mu.Lock()
	registered, ok := names.conf[file]
	names.mu.Unlock()
	if ok {
		c = registered.over(c)
	}
	if err := c.apply(params); err != nil {
		return c, err
	}
	if c.ReplicaURL == "" && c.Store == nil {
		return c, fmt.Errorf("no replica_url for %q: give it in the URI (file:app.db?vfs=%s&replica_url=s3://bucket/app), "+
			"set LITESTREAM_REPLICA_URL, or register the name", file, VFS)
	}
	if err := c.contradiction(); err != nil {
		return c, err
	}
	return c.withDefaults(), nil
}

// connect is the vfs.Opener.
func connect(ctx context.Context, file string, params url.Values) (vfs.Database, error) {
	c, err := configure(file, params)
	if err != nil {
		return nil, err
	}
	opening, cancel := context.WithTimeout(ctx, c.OpenTimeout)
	defer cancel()
	e, err := databases.acquire(opening, c)
	if err != nil {
		return nil, err
	}
	if c.writes() {
		if err := e.db.enableWriting(opening, c); err != nil {
			return nil, errors.Join(err, databases.release(e))
		}
	}
	conn := &connection{Reader: e.db.source.NewReader(), entry: e, db: e.db, file: file, conf: c, writable: c.writes()}
	conn.SetLimit(c.MaxReqsPerQuery)
	return conn, nil
}

// Close ends this open. SQLite forgets the error; the pool that the connection belongs to gets it too: see [OpenDB].
func (c *connection) Close() error {
	c.Reader.Close()
	err := databases.release(c.entry)
	if err != nil {
		names.mu.Lock()
		defer names.mu.Unlock()
		if _, ok := names.conf[c.file]; ok {
			names.unsynced[c.file] = err
		}
	}
	return err
}

func (c *connection) Newest(ctx context.Context) (vfs.Snapshot, error) {
	s, err := c.db.newest(ctx, !c.reads)
	c.reads = c.reads || err == nil
	return s, err
}

func (c *connection) Note(ctx context.Context, op string, err error) {
	if errors.Is(err, index.ErrCorrupt) {
		c.db.corrupted.Add(1)
	}
	level := slog.LevelWarn
	if ctx.Err() != nil {
		level = slog.LevelDebug // the caller gave up; that is no fault
	}
	c.db.log.LogAttrs(ctx, level, "statement failed", slog.String("op", op), slog.Any("err", err))
}

func (c *connection) At(ctx context.Context, phrase string) (*index.View, error) {
	target, err := pitr.Parse(phrase, time.Now())
	if err != nil || target.IsLatest() {
		return nil, err
	}
	return c.db.at(ctx, target.At)
}

func (c *connection) AtTXID(ctx context.Context, txid index.TXID) (*index.View, error) {
	return c.db.atTXID(ctx, txid)
}

func (c *connection) State() index.State { return c.db.state() }

func (c *connection) Wait(ctx context.Context, txid index.TXID) error {
	t := c.db.tracker()
	if t == nil {
		return errNothingThere
	}
	if err := c.db.rouse(ctx, t); err != nil {
		return err
	}
	return t.WaitFor(ctx, txid)
}

// option is a setting that a pragma can get and set while the replica is open.
type option struct {
	name string
	get  func(c *connection) string
	set  func(c *connection, value string) error
}

var options = []option{
	{
		name: "cache_size",
		get:  func(*connection) string { return strconv.FormatInt(cache.Budget(), 10) },
		set: func(_ *connection, value string) error {
			var n int64
			if err := parseBytes(value, &n); err != nil {
				return err
			}
			cache.SetBudget(n)
			return nil
		},
	},
	{
		name: "poll_interval",
		get:  func(c *connection) string { return c.db.pollInterval().String() },
		set: func(c *connection, value string) error {
			var d time.Duration
			if err := parseDuration(value, &d); err != nil {
				return err
			}
			t := c.db.tracker()
			if t == nil {
				return errNothingThere
			}
			if err := c.db.rouse(c.db.running, t); err != nil { // who is asleep would not hear of it
				return err
			}
			t.SetPollInterval(d)
			return nil
		},
	},
	{
		name: "max_prefetch_pages",
		get: func(c *connection) string {
			return strconv.FormatInt(c.db.source.MaxAhead()/int64(c.db.pageSize()), 10)
		},
		set: func(c *connection, value string) error {
			n, err := parseCount(value)
			if err == nil {
				c.db.source.SetMaxAhead(n * int64(c.db.pageSize()))
			}
			return err
		},
	},
	{
		name: "read_ahead_limit",
		get:  func(c *connection) string { return strconv.FormatInt(c.db.source.ReadAheadLimit(), 10) },
		set: func(c *connection, value string) error {
			var n int64
			err := parseBytes(value, &n)
			if err == nil {
				c.db.source.SetReadAheadLimit(n)
			}
			return err
		},
	},
	{
		name: "max_reqs_per_query",
		get:  func(c *connection) string { return strconv.FormatInt(c.Limit(), 10) },
		set: func(c *connection, value string) error {
			n, err := parseCount(value)
			if err == nil {
				c.SetLimit(n)
			}
			return err
		},
	},
}

func (c *connection) Get(name string) (string, bool) {
	for _, o := range options {
		if o.name == name {
			return o.get(c), true
		}
	}
	return "", false
}

func (c *connection) Set(name, value string) error {
	for _, o := range options {
		if o.name == name {
			if err := o.set(c, value); err != nil {
				return fmt.Errorf("%q: %w", value, err)
			}
		}
	}
	return nil
}

func (c *connection) Names() []string {
	known := make([]string, len(options))
	for i, o := range options {
		known[i] = o.name
	}
	return known
}

func (c *connection) Status(p vfs.Position) any { return c.db.status(p) }
