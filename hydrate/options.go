package hydrate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Mode says what fills a copy.
type Mode int

const (
	// Full fetches every page in the background.
	Full Mode = iota
	// Lazy keeps the pages that are offered, and fetches nothing itself until [Copy.Hydrate].
	Lazy
)

func (m Mode) String() string {
	switch m {
	case Full:
		return "full"
	case Lazy:
		return "lazy"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}

// Options of a Copy. The zero value is a temporary copy that is filled in the background.
type Options struct {
	// Path of the database file. The state file is beside it, at Path + "-hydration". Both are made if they are not there;
	// what is there must be a copy that this package made. Empty means a temporary file, which Close removes, and after a
	// crash the next Open.
	Path string
	// Mode says what fills the copy. Zero is Full.
	Mode Mode
	// MaxBytes bounds the pages kept in Lazy mode: those not read for long make room for others. Zero is no bound. Where
	// holes cannot be punched into files (all but Linux) nothing makes room, and a copy that is full stays as it is.
	MaxBytes int64
	// Bandwidth bounds what the background walk fetches, in bytes a second. Zero is no bound.
	Bandwidth int64
	// Concurrency is how many requests the walk makes at once. Zero is 32. Together they never ask for more than 32 MiB: when they
	// are long, fewer run.
	Concurrency int
	// Tables are fetched first, with their indexes.
	Tables []string
	// Log gets one line for begin and end of a hydration, and for each failure. Nil discards.
	Log *slog.Logger
	// OnProgress, when not nil, is called when the State changes, and a few times a second while pages arrive: never by two
	// goroutines at once. It must return soon, for nothing is written while it runs.
	OnProgress func(Progress)

	// For tests.
	faults    faults
	saveEvery time.Duration // see saveEvery
	goodRange int64         // see goodRange
}

const defaultConcurrency = 32

func (o Options) withDefaults() (Options, error) {
	switch {
	case o.Mode != Full && o.Mode != Lazy:
		return o, fmt.Errorf("hydration mode %v: want full or lazy", o.Mode)
	case o.MaxBytes < 0 || o.Bandwidth < 0 || o.Concurrency < 0:
		return o, errors.New("limits of hydration cannot be negative")
	case o.MaxBytes > 0 && o.Mode == Full:
		return o, errors.New("a copy of the whole database cannot have a size limit: set hydration_mode=lazy, or no limit")
	}
	if o.Concurrency == 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.saveEvery == 0 {
		o.saveEvery = saveEvery
	}
	if o.goodRange == 0 {
		o.goodRange = goodRange
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Path != "" {
		absolute, err := filepath.Abs(o.Path)
		if err != nil {
			return o, err
		}
		o.Path = absolute
	}
	return o, nil
}

// History is what a Copy asks of the one who follows the replica: an *index.Tracker. It is safe for concurrent use.
type History interface {
	// Since tells which pages head has that differ from the database at txid, of whose history files are: those and perhaps
	// others; nil is none. ok is false when files are of another history, or when it cannot be told any more.
	Since(ctx context.Context, head *index.View, txid index.TXID, files []index.File) (changed iter.Seq[uint32], ok bool, err error)
	// Landmarks are listed files by which this history will be known again when those of a View are merged and gone: the newest of
	// each level, say. It asks nobody, and takes no time.
	Landmarks() []index.File
	// Rehome finds the pages of v in other files after gone turned out not to be in the bucket any more.
	Rehome(ctx context.Context, v *index.View, gone *index.File) error
}

// Errors that callers tell apart with errors.Is.
var (
	// ErrInUse: another process, or another Copy in this one, has the files open. Use a temporary copy.
	ErrInUse = errors.New("local copy is in use by another process")
	// ErrNotACopy: the file is not empty, and no state file says that this package wrote it.
	ErrNotACopy = errors.New("file is not a local copy of a replica")
	// ErrDiskFull: there is no room for what is to be written. The copy goes on when there is.
	ErrDiskFull = errors.New("disk full")
	// ErrClosed: the copy is closed.
	ErrClosed = errors.New("local copy is closed")
	// ErrNotHydrating: nothing fetches what is absent.
	ErrNotHydrating = errors.New("hydration was not started")
)

// faults lets tests fail what is done to files. Nil fails nothing.
type faults func(op string) error

// check returns the error that op is to fail with.
func (f faults) check(op string) error {
	if f == nil {
		return nil
	}
	return f(op)
}
