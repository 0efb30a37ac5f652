package sandbox

import (
	"errors"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Why a statement was ended, or did not begin. Test with errors.Is.
var (
	// ErrMemory: it needs more than Limits.Memory.
	ErrMemory = errors.New("sandbox: out of memory: select fewer or shorter values, or give it more")
	// ErrTime: it takes longer than Limits.Time.
	ErrTime = errors.New("sandbox: out of time: select less, or give it more")
	// ErrRows and ErrBytes: its result is larger than Limits.Rows or Limits.Bytes. Rows up to there were delivered.
	ErrRows  = errors.New("sandbox: the result has more rows than allowed: add a LIMIT")
	ErrBytes = errors.New("sandbox: the result has more bytes than allowed: select fewer rows or columns")
	// ErrFetch: it reads more of the replica than Limits.Fetch.
	ErrFetch = errors.New("sandbox: the statement reads more of the replica than allowed: have it use an index")
	// ErrDenied: it asks for what nothing in the sandbox may do, like writing and attaching.
	ErrDenied = errors.New("sandbox: not allowed: statements may only read")
	// ErrSQL: SQLite does not understand it, or it failed.
	ErrSQL = errors.New("sandbox: statement failed")
	// ErrLimits: no module can run within these Limits.
	ErrLimits = errors.New("sandbox: impossible limits")
	// ErrModule: there is no module, or not one that can be used.
	ErrModule = errors.New("sandbox: no WASI module")
	// ErrEnded: an instance has ended by itself, which is a fault of the module. The next statement gets another one.
	ErrEnded = errors.New("sandbox: the module has ended")
	// ErrClosed: the Sandbox is closed.
	ErrClosed = errors.New("sandbox: closed")
)

// kinds are the sentinels for what the module reports.
var kinds = map[string]error{
	wasiabi.KindSQL: ErrSQL, wasiabi.KindUsage: ErrSQL, wasiabi.KindTooBig: ErrSQL, wasiabi.KindDenied: ErrDenied, wasiabi.KindMemory: ErrMemory,
	wasiabi.KindCorrupt: index.ErrCorrupt, wasiabi.KindExpired: index.ErrViewExpired, wasiabi.KindStore: objstore.ErrTemporary,
	wasiabi.KindNotFound: index.ErrNotReachable,
}

// reported is an error that the module has reported: its words, and what they mean here.
type reported struct {
	text string
	is   error
}

func (e *reported) Error() string { return e.text }
func (e *reported) Unwrap() error { return e.is }

// errorOf makes an error of what the module reports. ours, when not nil, is the error of the host's that it comes from.
func errorOf(f wasiabi.Failure, ours error) error {
	switch {
	case f.Kind == wasiabi.KindMemory:
		return ErrMemory
	case f.Kind == wasiabi.KindDenied:
		return &reported{ErrDenied.Error(), ErrDenied}
	case f.Kind == wasiabi.KindStore && ours != nil:
		return &reported{f.Message, ours}
	}
	return &reported{f.Message, kinds[f.Kind]}
}
