package litefss3

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/hydrate"
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

	// SyncInterval is the time between two uploads of what was committed. Zero is one second, negative that only
	// PRAGMA litestream_sync and the last Close upload.
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
