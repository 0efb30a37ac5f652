package vfs

import (
	"context"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Database is one open of a replica, by one connection. All methods are called by one goroutine at a time.
type Database interface {
	// Newest returns what a transaction beginning now reads, or why it must not begin.
	Newest(ctx context.Context) (Snapshot, error)
	// Note takes the cause of an error that SQLite only sees the code of.
	Note(ctx context.Context, op string, err error)
	// Close ends this open of the replica.
	Close() error

	PageReader
	Past
	Follower
	LocalCopy
	Writing
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

// Writing takes what connections write.
type Writing interface {
	// Writable reports whether this connection was opened to write. If not, nothing else here is called but IsWriter.
	Writable() bool
	// BeginWrite reserves the right to write, for one connection of the process at a time, on top of s. When that cannot be the error is
	// a Refusal.
	BeginWrite(ctx context.Context, s Snapshot) (Transaction, error)
	// Sync brings what is committed to the bucket, and returns when it is there.
	Sync(ctx context.Context) error
	// Pending is how many commits are not in the bucket.
	Pending() int
	// Acquire makes this process the writer; Release lets another one be, after what is committed was uploaded.
	Acquire(ctx context.Context) error
	Release(ctx context.Context) error
	// IsWriter reports whether this process is the writer now.
	IsWriter() bool
	// Durable is the newest TXID that is confirmed in the bucket.
	Durable() index.TXID
}

// Transaction is what one connection writes, until it commits. It is used by one goroutine at a time.
type Transaction interface {
	// WritePage keeps a copy of a page.
	WritePage(pgno uint32, page []byte) error
	// ReadPage copies a page that was written into dst.
	ReadPage(pgno uint32, dst []byte) (ok bool, err error)
	// Truncate cuts off what lies above so many pages.
	Truncate(pages uint32)
	// Commit makes all of it part of the database, which then has so many pages, and ends the transaction. When it fails nothing
	// is committed, and the transaction goes on; unless the error comes with a Snapshot: then it stands nevertheless.
	Commit(ctx context.Context, pages uint32) (Snapshot, error)
	// Rollback ends the transaction without a trace.
	Rollback()
}

// Refusal is why a connection may not write now, and what SQLite should make of it.
type Refusal struct {
	Kind RefusalKind
	Err  error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// RefusalKind is what SQLite should do.
type RefusalKind int

const (
	// ReadOnly: this will not pass by waiting. SQLite says READONLY.
	ReadOnly RefusalKind = iota
	// Busy: it passes soon. SQLite says BUSY, after its busy timeout.
	Busy
	// Stale: the transaction has to begin again. SQLite says BUSY_SNAPSHOT.
	Stale
)

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
	Snapshot
	Time string // the time set, as it was written; empty when the connection follows the writer
	Err  error  // cause of the connection's last error
}

// waitDeadline bounds litestream_wait_txid when the statement has no deadline of its own.
const waitDeadline = 30 * time.Second

// openDeadline bounds the requests of one open: SQLite gives no context there.
const openDeadline = 60 * time.Second
