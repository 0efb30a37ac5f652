package litefss3

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/internal/nearest"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
	"github.com/litefs-s3/litefs-s3/writer"
)

// Defaults of Config.
const (
	DefaultPollInterval = time.Second
	DefaultCacheSize    = 64 << 20
	DefaultOpenTimeout  = 30 * time.Second
	DefaultCloseTimeout = 30 * time.Second
)

// LeaseMode says how a process becomes the writer.
type LeaseMode int

const (
	// AutomaticLease: it takes the lease when the database is opened to write, or as soon as no other process has it.
	AutomaticLease LeaseMode = iota
	// ManualLease: with PRAGMA litestream_acquire_lease.
	ManualLease
)

func (m LeaseMode) String() string {
	if m == ManualLease {
		return "manual"
	}
	return "automatic"
}

// Config says which replica to open, and how. What the URI of an open gives comes first, then the Config of [Register], then the
// environment.
type Config struct {
	// ReplicaURL is where the replica lies: s3://bucket/path, file:///directory, or https://host/path (read-only). Its query
	// may hold the S3 settings that Litestream's URLs have: endpoint, region, force-path-style and so on.
	ReplicaURL string

	// Store, when not nil, is used instead of what ReplicaURL says; keys begin below the replica's prefix ("0000/…").
	// ReplicaURL is then a mere name.
	Store objstore.Store

	// S3, when not nil, changes the S3 settings after the URL has been read: a credentials provider, an HTTP client.
	S3 func(*s3store.Config)

	// PollInterval is the time between two looks for news. Zero is one second, negative never.
	PollInterval time.Duration

	// CacheSize is the bytes of pages that the process keeps in memory, for all replicas together. Zero leaves it as it is:
	// 64 MiB, or what was set last.
	CacheSize int64

	// MaxPrefetchPages bounds what one connection reads ahead. Zero is 32 MiB worth of pages, negative none.
	MaxPrefetchPages int

	// ReadAheadLimit bounds what one transaction may fetch ahead and not read, in bytes of pages, by guesses from what indexes and
	// upper b-tree pages say. Zero is 64 MiB, negative none.
	ReadAheadLimit int64

	// MaxReqsPerQuery makes a transaction fail that needs more requests. Zero is no limit.
	MaxReqsPerQuery int64

	// StaleAfter makes a transaction fail that begins longer than this after the last good poll. Zero is never.
	StaleAfter time.Duration

	// Hydrate keeps a local copy of the database, which serves each page as soon as it is there. A Hydration.Path does too.
	Hydrate bool

	// NoLocalCopy keeps none, whatever the environment says: for tools.
	NoLocalCopy bool

	// Hydration says where the local copy lies and what fills it. The zero value is a temporary copy, filled in the
	// background. Its Log is the Logger.
	Hydration hydrate.Options

	// Sidecar says what the process does with an object beside the replica's files that makes opening fast. Zero is to read it.
	Sidecar SidecarMode

	// Write opens the database to write: also one that does not exist yet. One process at a time is the writer.
	Write bool

	// ReadOnly never writes, whatever the environment says: for tools.
	ReadOnly bool

	// Durability says when a commit returns. Zero is when it is on the local disk.
	Durability writer.Durability

	// SyncInterval is the time between two uploads of what was committed. Zero is one second.
	SyncInterval time.Duration

	// BufferPath is the directory of the commit log, which keeps what is not uploaded yet. Empty is one in the user's cache
	// directory that is the same each time; with durability memory, none.
	BufferPath string

	// MaxPending is how much may be committed and not uploaded, in bytes, before transactions have to wait. Zero is 1 GiB.
	MaxPending int64

	// Lease says how this process becomes the writer. Zero is as soon as it can.
	Lease LeaseMode

	// LeaseTTL is how long after the death of a writer another one may take over. Zero is 30 seconds.
	LeaseTTL time.Duration

	// Compaction says whether the writer keeps the replica small. Zero is when nobody else does.
	Compaction CompactionMode

	// Owner is who writes, in the lease: for people. Empty is host:process.
	Owner string

	// Unfenced insists on a store that ignores create-only conditions, on which two writers may overwrite each other.
	Unfenced bool

	// CloseTimeout bounds the upload of what was committed when the last connection is closed. Zero is 30 seconds.
	CloseTimeout time.Duration

	// OpenTimeout bounds the requests that open the replica. Zero is 30 seconds.
	OpenTimeout time.Duration

	// Tracer is told of what takes time: opening, fetches, polls, uploads, compactions. Nil costs nothing. All connections of a
	// replica in a process share that of the first.
	Tracer Tracer

	// Logger gets one line per event an operator would retell. Nil discards.
	Logger *slog.Logger

	logLevel, logFile string // as the URI or the environment gave them
	hydrate, write    toggle // the same
	eyes              int64  // tells registrations with S3 settings apart; 0 without
}

// toggle is something that is turned on or off, or not spoken of.
type toggle int8

const (
	unset toggle = iota
	off
	on
)

// hydrates reports whether a local copy is kept.
func (c *Config) hydrates() bool {
	return c.hydrate == on || c.hydrate == unset && (c.Hydrate || c.Hydration.Path != "")
}

// writes reports whether the database is opened to write.
func (c *Config) writes() bool { return c.write == on || c.write == unset && c.Write }

// contradiction returns an error when the URI wants what the Config excludes.
func (c *Config) contradiction() error {
	switch {
	case c.ReadOnly && c.writes():
		return errors.New("write_enabled and ReadOnly exclude each other: the name was registered to read only")
	case c.ReadOnly && c.Sidecar == WriteSidecar:
		return errors.New("sidecar=write and ReadOnly exclude each other: the name was registered to read only")
	case c.NoLocalCopy && c.hydrates():
		return errors.New("hydration and NoLocalCopy exclude each other: the name was registered without a local copy")
	}
	return nil
}

// setting is one name that users type.
type setting struct {
	name string // URI parameter
	env  string // environment variable; empty if there is none
	set  func(c *Config, value string) error
}

var settings = []setting{
	{"replica_url", "LITESTREAM_REPLICA_URL", func(c *Config, v string) error {
		c.ReplicaURL = v
		return nil
	}},
	{"poll_interval", "LITESTREAM_POLL_INTERVAL", func(c *Config, v string) error {
		return parseDuration(v, &c.PollInterval)
	}},
	{"cache_size", "LITESTREAM_CACHE_SIZE", func(c *Config, v string) error {
		return parseBytes(v, &c.CacheSize)
	}},
	{"max_prefetch_pages", "", func(c *Config, v string) error {
		n, err := parseCount(v)
		c.MaxPrefetchPages = int(n)
		if err == nil && n == 0 {
			c.MaxPrefetchPages = -1 // 0 is a wish here, and not the zero value
		}
		return err
	}},
	{"read_ahead_limit", "", func(c *Config, v string) error {
		err := parseBytes(v, &c.ReadAheadLimit)
		if err == nil && c.ReadAheadLimit == 0 {
			c.ReadAheadLimit = -1 // 0 is a wish here, and not the zero value
		}
		return err
	}},
	{"max_reqs_per_query", "", func(c *Config, v string) (err error) {
		c.MaxReqsPerQuery, err = parseCount(v)
		return err
	}},
	{"stale_after", "", func(c *Config, v string) error {
		return parseDuration(v, &c.StaleAfter)
	}},
	{"hydration_path", "LITESTREAM_HYDRATION_PATH", func(c *Config, v string) error {
		c.Hydration.Path = v
		return nil
	}},
	{"hydration_enabled", "LITESTREAM_HYDRATION_ENABLED", func(c *Config, v string) error {
		return parseToggle(v, &c.hydrate)
	}},
	{"hydration_mode", "", func(c *Config, v string) error {
		return parseMode(v, &c.Hydration.Mode)
	}},
	{"hydration_max_size", "", func(c *Config, v string) error {
		return parseBytes(v, &c.Hydration.MaxBytes)
	}},
	{"hydration_bandwidth", "", func(c *Config, v string) error {
		return parseBytes(v, &c.Hydration.Bandwidth)
	}},
	{"hydration_concurrency", "", func(c *Config, v string) error {
		n, err := parseCount(v)
		c.Hydration.Concurrency = int(n)
		return err
	}},
	{"sidecar", "", func(c *Config, v string) error {
		return parseSidecar(v, &c.Sidecar)
	}},
	{"write_enabled", "LITESTREAM_WRITE_ENABLED", func(c *Config, v string) error {
		return parseToggle(v, &c.write)
	}},
	{"durability", "LITESTREAM_DURABILITY", func(c *Config, v string) error {
		return parseDurability(v, &c.Durability)
	}},
	{"sync_interval", "LITESTREAM_SYNC_INTERVAL", func(c *Config, v string) error {
		return parseDuration(v, &c.SyncInterval)
	}},
	{"buffer_path", "LITESTREAM_BUFFER_PATH", func(c *Config, v string) error {
		c.BufferPath = v
		return nil
	}},
	{"buffer_max_size", "", func(c *Config, v string) error {
		return parseBytes(v, &c.MaxPending)
	}},
	{"lease", "", func(c *Config, v string) error {
		return parseLease(v, &c.Lease)
	}},
	{"lease_ttl", "", func(c *Config, v string) error {
		return parseDuration(v, &c.LeaseTTL)
	}},
	{"compaction", "", func(c *Config, v string) error {
		return parseCompaction(v, &c.Compaction)
	}},
	{"lease_owner", "", func(c *Config, v string) error {
		c.Owner = v
		return nil
	}},
	{"close_timeout", "", func(c *Config, v string) error {
		return parseDuration(v, &c.CloseTimeout)
	}},
	{"unfenced", "", func(c *Config, v string) error {
		var t toggle
		err := parseToggle(v, &t)
		c.Unfenced = t == on
		return err
	}},
	{"log_level", "LITESTREAM_LOG_LEVEL", func(c *Config, v string) error {
		c.logLevel = v
		return new(slog.Level).UnmarshalText([]byte(v))
	}},
	{"log_file", "LITESTREAM_LOG_FILE", func(c *Config, v string) error {
		c.logFile = v
		return nil
	}},
}

// fromEnvironment is the Config that the environment gives.
func fromEnvironment() (Config, error) {
	var c Config
	for _, s := range settings {
		value := os.Getenv(s.env)
		if s.env == "" || value == "" {
			continue
		}
		if err := s.set(&c, value); err != nil {
			return c, fmt.Errorf("%s=%q: %w", s.env, value, err)
		}
	}
	return c, nil
}

// apply lays the parameters of a URI over c. Those of S3 go into the replica's URL.
func (c *Config) apply(params url.Values) error {
	s3 := url.Values{}
	for name, values := range params {
		i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
		switch {
		case len(values) > 1:
			return fmt.Errorf("parameter %s is given %d times; give it once", name, len(values))
		case i >= 0:
			if err := settings[i].set(c, values[0]); err != nil {
				return fmt.Errorf("parameter %s=%q: %w", name, values[0], err)
			}
		case slices.Contains(s3store.Parameters(), strings.ReplaceAll(name, "_", "-")):
			s3.Set(name, values[0])
		default:
			return fmt.Errorf("unknown parameter %q%s", name, nearest.Hint(name, parameterNames()))
		}
	}
	if len(s3) == 0 {
		return nil
	}
	u, err := url.Parse(c.ReplicaURL)
	if err != nil {
		return fmt.Errorf("replica_url %q is no URL; it looks like s3://bucket/path", redact(c.ReplicaURL))
	}
	q := u.Query()
	for name, values := range s3 {
		q[name] = values
	}
	u.RawQuery = q.Encode()
	c.ReplicaURL = u.String()
	return nil
}

// parameterNames are all names that a URI may hold.
func parameterNames() []string {
	names := slices.Concat([]string{"time", "txid", "vfs", "mode", "immutable", "_pragma", "_txlock", "_timefmt"}, s3store.Parameters())
	for _, s := range settings {
		names = append(names, s.name)
	}
	return names
}

// logger returns where log lines go, and what to close when they no longer do.
func (c *Config) logger() (*slog.Logger, io.Closer, error) {
	if c.Logger != nil {
		return c.Logger, nil, nil
	}
	if c.logLevel == "" && c.logFile == "" {
		return slog.New(slog.DiscardHandler), nil, nil
	}
	var level slog.Level // info
	if c.logLevel != "" {
		if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
			return nil, nil, fmt.Errorf("log_level=%q: it is debug, info, warn or error", c.logLevel)
		}
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.logFile == "" {
		return slog.New(slog.NewTextHandler(os.Stderr, opts)), nil, nil
	}
	f, err := os.OpenFile(c.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("log_file: %w", err)
	}
	return slog.New(slog.NewTextHandler(f, opts)), f, nil
}

// parseDuration reads Go's syntax or whole seconds.
func parseDuration(text string, to *time.Duration) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		n, nerr := strconv.ParseInt(text, 10, 32)
		if nerr != nil {
			return fmt.Errorf("not a duration; write 500ms, 1s, 5m, or whole seconds")
		}
		d = time.Duration(n) * time.Second
	}
	if d <= 0 {
		return fmt.Errorf("a duration above zero is needed, like 1s")
	}
	*to = d
	return nil
}

// parseBytes reads a size like 64MiB, 10 MB or 1048576.
func parseBytes(text string, to *int64) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<50 {
		return fmt.Errorf("not a size; write 64MiB, 10MB or a number of bytes")
	}
	*to = int64(n)
	return nil
}

// parseToggle reads a yes or no.
func parseToggle(text string, to *toggle) error {
	switch strings.ToLower(text) {
	case "1", "true", "on", "yes":
		*to = on
	case "0", "false", "off", "no":
		*to = off
	default:
		return fmt.Errorf("not a yes or no; write 1 or 0")
	}
	return nil
}

// parseDurability reads when a commit returns.
func parseDurability(text string, to *writer.Durability) error {
	for _, d := range []writer.Durability{writer.Local, writer.Remote, writer.Memory} {
		if text == d.String() {
			*to = d
			return nil
		}
	}
	return fmt.Errorf("no such durability%s; it is local (a commit returns when it is on the local disk), remote (when it is in the bucket) "+
		"or memory (at once)", nearest.Hint(text, []string{"local", "remote", "memory"}))
}

// parseLease reads how a process becomes the writer.
func parseLease(text string, to *LeaseMode) error {
	for _, m := range []LeaseMode{AutomaticLease, ManualLease} {
		if text == m.String() {
			*to = m
			return nil
		}
	}
	return fmt.Errorf("no such lease mode%s; it is automatic, or manual (with PRAGMA litestream_acquire_lease)",
		nearest.Hint(text, []string{"automatic", "manual"}))
}

// parseCompaction reads whether the writer compacts.
func parseCompaction(text string, to *CompactionMode) error {
	for _, m := range []CompactionMode{AutomaticCompaction, CompactionOn, CompactionOff} {
		if text == m.String() {
			*to = m
			return nil
		}
	}
	return fmt.Errorf("no such mode%s; it is on, off, or automatic (when nobody else compacts the replica)",
		nearest.Hint(text, []string{"on", "off", "automatic"}))
}

// parseMode reads what fills a local copy.
func parseMode(text string, to *hydrate.Mode) error {
	for _, m := range []hydrate.Mode{hydrate.Full, hydrate.Lazy} {
		if text == m.String() {
			*to = m
			return nil
		}
	}
	return fmt.Errorf("no such mode%s; it is full (everything is fetched in the background) or lazy (what queries fetch is kept)",
		nearest.Hint(text, []string{"full", "lazy"}))
}

func parseCount(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("not a count; write a whole number, 0 or more")
	}
	return n, nil
}

// redact leaves of a URL what may be seen: no user, no password, no query.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		scheme, _, _ := strings.Cut(raw, ":")
		return scheme + ":…"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
