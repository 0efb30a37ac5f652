package vfs

import (
	"context"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Database is one open of a replica, by one connection. All methods are called by one goroutine at a time.
type Database interface {
	// Newest returns the View that a transaction beginning now reads, or why it must not begin.
	Newest(ctx context.Context) (*index.View, error)
	// Note takes the cause of an error that SQLite only sees the code of.
	Note(ctx context.Context, op string, err error)
	// Close ends this open of the replica.
	Close() error

	PageReader
	Past
	Follower
	LocalCopy
	Settings
}

// PageReader returns pages.
type PageReader interface {
	// ReadPage copies page pgno as of v into dst; len(dst) is v.PageSize. pgno is at most v.Commit.
	ReadPage(ctx context.Context, v *index.View, pgno uint32, dst []byte) error
	// Begin says that a transaction begins: what is counted for each starts anew.
	Begin()
}

// Past finds earlier moments.
type Past interface {
	// At returns the View at what a person wrote as a time, or nil for the newest one.
	At(ctx context.Context, phrase string) (*index.View, error)
	// AtTXID returns the View at txid.
	AtTXID(ctx context.Context, txid index.TXID) (*index.View, error)
}

// Follower says how far behind the writer the newest View may be.
type Follower interface {
	// State is how well the replica is followed.
	State() index.State
	// Wait returns when txid, or a later one, can be read.
	Wait(ctx context.Context, txid index.TXID) error
}

// LocalCopy is the copy of the database in a local file, if there is one.
type LocalCopy interface {
	// Hydration is how much of the database is local, in per cent: 100 is all. file is empty when there is no copy.
	Hydration() (percent float64, file string)
	// Hydrate begins to fetch what is not local, the given tables first.
	Hydrate(tables []string) error
	// WaitHydrated returns when everything is local.
	WaitHydrated(ctx context.Context) error
}

// Settings are what pragmas get and set.
type Settings interface {
	// Get returns a setting as text. ok is false when there is none of that name.
	Get(name string) (value string, ok bool)
	// Set changes a setting; the error says what the value should look like.
	Set(name, value string) error
	// Names are all settings.
	Names() []string
	// Status is everything there is to know, for litestream_status. position is what the connection reads.
	Status(position Position) any
}

// Position is where a connection reads.
type Position struct {
	View *index.View
	Time string // the time set, as it was written; empty when the connection follows the writer
	Err  error  // cause of the connection's last error
}

// waitDeadline bounds litestream_wait_txid when the statement has no deadline of its own.
const waitDeadline = 30 * time.Second

// openDeadline bounds the requests of one open: SQLite gives no context there.
const openDeadline = 60 * time.Second
