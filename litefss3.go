package litefss3

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	sqlite "github.com/ncruces/go-sqlite3/driver"

	"github.com/litefs-s3/litefs-s3/vfs"
)

// VFS is the name to give in a URI: file:app.db?vfs=litefs-s3.
const VFS = "litefs-s3"

func init() {
	fromEnvironmentOnce() // the environment is read when the program starts, and not when it opens
	vfs.Register(VFS, connect)
}

// fromEnvironmentOnce is the Config of the environment as it was when the program started.
var fromEnvironmentOnce = sync.OnceValues(fromEnvironment)

// Register gives a replica a name: file:NAME?vfs=litefs-s3 opens it with c. A second call with the same name
// replaces the first for later opens. The parameters of a URI still come before what c says.
func Register(name string, c Config) error {
	if name == "" {
		return errors.New("a replica needs a name to be registered")
	}
	if c.ReplicaURL == "" && c.Store == nil {
		return errors.New("config: neither ReplicaURL nor Store is set; set one of them")
	}
	if err := c.check(); err != nil {
		return err
	}
	if c.S3 != nil {
		c.eyes = eyes.Add(1)
	}
	names.mu.Lock()
	defer names.mu.Unlock()
	names.conf[name] = c
	return nil
}

// eyes numbers the registrations with S3 settings of their own: what one may see another may not.
var eyes atomic.Int64

// Unregister takes back a name. What is open stays open.
func Unregister(name string) {
	names.mu.Lock()
	defer names.mu.Unlock()
	delete(names.conf, name)
}

// OpenDB returns a pool of connections on the replica that c describes. Nothing is opened before the first use: Ping
// tells whether it can be. Its Close uploads what was committed, and returns a [writer.UnsyncedError] when that could not be done.
//
// A replica that nobody has begun to read for 30 seconds is not polled any more. Who begins then waits for one look at the bucket, five seconds at most, and
// sees what polling would have shown. Writers, and replicas that fetch their local copy, are polled all the time.
//
// An open connection takes about a third of a megabyte all the same, nearly all of it SQLite's. For very many databases of which few are in use, call
// SetConnMaxIdleTime: with its last connection a replica is closed, and costs a few kilobytes until it is asked
// again. It is not done unasked, because a connection may be at a time that PRAGMA litestream_time has set.
func OpenDB(c Config) (*sql.DB, error) {
	name := fmt.Sprintf("%s-pool-%d", VFS, pools.Add(1))
	if err := Register(name, c); err != nil {
		return nil, err
	}
	conn, err := new(sqlite.SQLite).OpenConnector("file:" + name + "?vfs=" + VFS)
	if err != nil {
		Unregister(name)
		return nil, err
	}
	return sql.OpenDB(&connector{Connector: conn, name: name}), nil
}

// pools counts the calls of OpenDB, so that each has a name of its own.
var pools atomic.Int64

// connector gives back the name of its pool when the pool is closed.
type connector struct {
	driver.Connector
	name string
}

// Close is called when the last connection is closed, and returns what that had to say.
func (c *connector) Close() error {
	Unregister(c.name)
	names.mu.Lock()
	defer names.mu.Unlock()
	err := names.unsynced[c.name]
	delete(names.unsynced, c.name)
	return err
}

// Cause returns the Go error behind the last error that a connection has met on this VFS, for SQLite itself only hands its
// code to the caller. schema is "main", or the name of an attached database. Nil means none, or that schema is not on this VFS.
// It stays until the connection meets another one, so ask when a statement has just failed with an I/O error, READONLY or BUSY: other
// errors do not come from here.
func Cause(conn *sql.Conn, schema string) (cause error) {
	err := conn.Raw(func(c any) error {
		if c, ok := c.(sqlite.Conn); ok {
			cause, _ = vfs.Cause(c.Raw(), schema)
		}
		return nil
	})
	return errors.Join(cause, err)
}

// over lays c over base: what c leaves at zero is taken from base.
func (c Config) over(base Config) Config {
	if c.ReplicaURL == "" && c.Store == nil {
		c.ReplicaURL = base.ReplicaURL
	}
	if c.PollInterval == 0 {
		c.PollInterval = base.PollInterval
	}
	if c.CacheSize == 0 {
		c.CacheSize = base.CacheSize
	}
	if c.hydrate == unset && !c.Hydrate && !c.NoLocalCopy {
		c.hydrate = base.hydrate
	}
	if c.write == unset && !c.Write && !c.ReadOnly {
		c.write = base.write
	}
	if c.Durability == 0 {
		c.Durability = base.Durability
	}
	if c.SyncInterval == 0 {
		c.SyncInterval = base.SyncInterval
	}
	if c.BufferPath == "" {
		c.BufferPath = base.BufferPath
	}
	if c.Hydration.Path == "" && !c.NoLocalCopy {
		c.Hydration.Path = base.Hydration.Path
	}
	if c.Logger == nil {
		c.logLevel, c.logFile = base.logLevel, base.logFile
	}
	return c
}

func (c Config) withDefaults() Config {
	if c.PollInterval == 0 {
		c.PollInterval = DefaultPollInterval
	}
	if c.OpenTimeout == 0 {
		c.OpenTimeout = DefaultOpenTimeout
	}
	if c.CloseTimeout == 0 {
		c.CloseTimeout = DefaultCloseTimeout
	}
	return c
}

// identity tells whether two opens mean the same replica seen with the same eyes.
func (c Config) identity() string {
	return fmt.Sprintf("%s|%p|%d", c.ReplicaURL, c.Store, c.eyes)
}

// shared is a setting that all connections of a replica share.
type shared struct {
	name       string
	here, want any
}

// agrees returns an error when other wants something different of what all connections of a replica share.
func (c Config) agrees(other Config) error {
	return c.agree([]shared{
		{"poll_interval", c.PollInterval, other.PollInterval},
		{"stale_after", c.StaleAfter, other.StaleAfter},
		{"max_prefetch_pages", c.MaxPrefetchPages, other.MaxPrefetchPages},
		{"read_ahead_limit", c.ReadAheadLimit, other.ReadAheadLimit},
		{"hydration_enabled", c.hydrates(), other.hydrates()},
		{"hydration_path", c.Hydration.Path, other.Hydration.Path},
		{"hydration_mode", c.Hydration.Mode, other.Hydration.Mode},
		{"hydration_max_size", c.Hydration.MaxBytes, other.Hydration.MaxBytes},
		{"hydration_bandwidth", c.Hydration.Bandwidth, other.Hydration.Bandwidth},
		{"hydration_concurrency", c.Hydration.Concurrency, other.Hydration.Concurrency},
		{"sidecar", c.Sidecar, other.Sidecar},
		{"log_level", c.logLevel, other.logLevel},
		{"log_file", c.logFile, other.logFile},
	})
}

// agreesToWrite is agrees for those connections that write.
func (c Config) agreesToWrite(other Config) error {
	return c.agree([]shared{
		{"durability", c.Durability, other.Durability},
		{"sync_interval", c.SyncInterval, other.SyncInterval},
		{"buffer_path", c.BufferPath, other.BufferPath},
		{"buffer_max_size", c.MaxPending, other.MaxPending},
		{"lease", c.Lease, other.Lease},
		{"lease_ttl", c.LeaseTTL, other.LeaseTTL},
		{"lease_owner", c.Owner, other.Owner},
		{"compaction", c.Compaction, other.Compaction},
		{"close_timeout", c.CloseTimeout, other.CloseTimeout},
		{"unfenced", c.Unfenced, other.Unfenced},
	})
}

// orDefault is a setting as it is told to people: zero, where it means a default, is not a value that they would know.
func orDefault(value any) any {
	switch value {
	case "", int64(0), time.Duration(0):
		return "the default"
	}
	return value
}

func (c Config) agree(settings []shared) error {
	for _, s := range settings {
		if s.here != s.want {
			return fmt.Errorf("%s is open in this process already with %s=%v, and all its connections share that; this open wants %v",
				redact(c.ReplicaURL), s.name, orDefault(s.here), orDefault(s.want))
		}
	}
	return nil
}
