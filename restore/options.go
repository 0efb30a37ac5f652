package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
)

// Existing says what becomes of a database that is already at the path.
type Existing int

const (
	// Refuse leaves it alone: the error is ErrExists.
	Refuse Existing = iota
	// Replace puts the restored one in its place, and removes a -wal, -shm and -journal that belonged to it.
	Replace
)

func (e Existing) String() string {
	switch e {
	case Refuse:
		return "refuse"
	case Replace:
		return "replace"
	}
	return fmt.Sprintf("Existing(%d)", int(e))
}

// Options of a restore. The zero value works.
type Options struct {
	// Existing says what becomes of a database at the path. Zero refuses.
	Existing Existing
	// Newer, when not nil, returns a View to start again with when the one asked for has expired: that of the head, for somebody who wants
	// the newest state and not a certain one. Nil makes it an error.
	Newer func(context.Context) (*index.View, error)
	// Concurrency is how many requests run at once. Zero is that of package bulk.
	Concurrency int
	// OnProgress, when not nil, is called a few times a second, never by two goroutines at once.
	OnProgress func(bulk.Progress)
	// Log gets one line for what somebody would retell. Nil discards.
	Log *slog.Logger

	faults faults // for tests
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Errors that callers tell apart with errors.Is.
var (
	// ErrExists: something is at the path, or beside it, that would have to be written over.
	ErrExists = errors.New("file exists")
	// ErrInUse: another program has the database at the path open, or restores to it.
	ErrInUse = errors.New("database is in use")
	// ErrNotOurs: the file is not what Follow made of it.
	ErrNotOurs = errors.New("file was changed by another program")
	// ErrNoLocks: files cannot be locked here the way SQLite does.
	ErrNoLocks = errors.New("files cannot be locked on this platform")
)

// Report is what a restore did.
type Report struct {
	Path     string        `json:"path"`
	TXID     index.TXID    `json:"txid"`
	Time     time.Time     `json:"time"` // of the newest transaction, by the writer's clock
	PageSize uint32        `json:"page_size"`
	Pages    uint32        `json:"pages"`
	Bytes    int64         `json:"bytes"`   // of the database
	Fetched  int64         `json:"fetched"` // bytes of pages; the indexes came before
	Requests int64         `json:"requests"`
	Rehomed  int64         `json:"rehomed"`   // how often files went away meanwhile
	Restarts int           `json:"restarts"`  // how often the View expired
	Took     time.Duration `json:"took_nsec"` // nanoseconds
}

// faults lets tests fail, or stop at, what is done to files. Nil does nothing.
type faults func(op string) error

func (f faults) check(op string) error {
	if f == nil {
		return nil
	}
	return f(op)
}
