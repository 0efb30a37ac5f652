package engine

import (
	"errors"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/guard"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/pitr"
)

var (
	// ErrUsage: the caller asked for what makes no sense.
	ErrUsage = errors.New("cannot be asked")
	// ErrInterrupted: the context of the statement has ended.
	ErrInterrupted = errors.New("interrupted")
)

// isIO reports whether SQLite says that its VFS has failed.
func isIO(err error) bool { return errors.Is(err, sqlite3.IOERR) || errors.Is(err, sqlite3.CANTOPEN) }

// kinds are tried in order.
var kinds = []struct {
	is   error
	kind string
}{
	{ErrUsage, wasiabi.KindUsage},
	{ErrInterrupted, wasiabi.KindInterrupted},
	{sqlite3.INTERRUPT, wasiabi.KindInterrupted},
	{guard.ErrMemory, wasiabi.KindMemory},
	{sqlite3.TOOBIG, wasiabi.KindTooBig},
	{sqlite3.AUTH, wasiabi.KindDenied},
	{sqlite3.READONLY, wasiabi.KindDenied},
	{index.ErrCorrupt, wasiabi.KindCorrupt},
	{sqlite3.CORRUPT, wasiabi.KindCorrupt},
	{index.ErrViewExpired, wasiabi.KindExpired},
	{index.ErrHistoryChanged, wasiabi.KindExpired},
	{index.ErrNoReplica, wasiabi.KindNotFound},
	{index.ErrNotReachable, wasiabi.KindNotFound},
	{index.ErrGap, wasiabi.KindNotFound},
	{pitr.ErrOutside, wasiabi.KindNotFound},
}

// FailureOf is an error as the host gets to see it.
func FailureOf(err error) wasiabi.Failure {
	f := wasiabi.Failure{Kind: wasiabi.KindSQL, Message: err.Error()}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			f.Kind = k.kind
			return f
		}
	}
	var phrase *pitr.PhraseError
	var op *objstore.OpError
	switch {
	case errors.As(err, &phrase):
		f.Kind = wasiabi.KindUsage
	case errors.As(err, &op), isIO(err):
		f.Kind = wasiabi.KindStore
	}
	return f
}
