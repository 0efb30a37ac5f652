package engine

import (
	"context"
	"errors"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/guard"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/fetchstore"
	"github.com/litefs-s3/litefs-s3/pitr"
)

var (
	// ErrArgument: what was asked for makes no sense, whatever is in the replica.
	ErrArgument = errors.New("wrong use")
	// ErrClosed: the database has been closed.
	ErrClosed = errors.New("the database is closed")
)

// Code is an error in a word, for JavaScript. What comes first is what says most.
func Code(err error) string {
	if phrase := (*pitr.PhraseError)(nil); errors.As(err, &phrase) {
		return "BAD_TIME"
	}
	if none := (*fetchstore.CredentialsError)(nil); errors.As(err, &none) {
		return "CREDENTIALS"
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	if sql := (*sqlite3.Error)(nil); errors.As(err, &sql) {
		return "SQL"
	}
	return "OTHER"
}

// Message is an error in words. The code says what follows from it, so what stands for the code in the text is left out, and so is what
// SQLite's name and its result code would add.
func Message(err error) string {
	text := strings.TrimSuffix(err.Error(), ": "+ErrArgument.Error())
	return strings.TrimPrefix(strings.TrimPrefix(text, "sqlite3: "), "SQL logic error: ")
}

var codes = []struct {
	err  error
	code string
}{
	{context.Canceled, "ABORTED"},
	{context.DeadlineExceeded, "TIMEOUT"},
	{guard.ErrMemory, "OUT_OF_MEMORY"},
	{sqlite3.TOOBIG, "TOO_BIG"},
	{ErrArgument, "ARGUMENT"},
	{ErrClosed, "CLOSED"},
	{fetchstore.ErrCORS, "CORS"},
	{fetchstore.ErrExpired, "CREDENTIALS_EXPIRED"},
	{objstore.ErrNoBucket, "NO_BUCKET"},
	{index.ErrNoReplica, "NO_REPLICA"},
	{index.ErrCorrupt, "CORRUPT"},
	{index.ErrGap, "GAP"},
	{index.ErrViewExpired, "VIEW_EXPIRED"},
	{index.ErrHistoryChanged, "REPLACED"},
	{index.ErrNotReachable, "OUTSIDE"},
	{pitr.ErrOutside, "OUTSIDE"},
	{objstore.ErrAccess, "ACCESS_DENIED"},
	{objstore.ErrUnsupported, "UNSUPPORTED"},
	{objstore.ErrTemporary, "UNREACHABLE"},
	{objstore.ErrNotFound, "NOT_FOUND"},
	{sqlite3.INTERRUPT, "ABORTED"},
	{sqlite3.READONLY, "READ_ONLY"},
	{sqlite3.ERROR, "SQL"},
}

// causeError is an error of SQLite together with why the VFS gave it.
type causeError struct{ err, cause error }

func (e *causeError) Error() string   { return e.cause.Error() } // "disk I/O error" would lead astray
func (e *causeError) Unwrap() []error { return []error{e.cause, e.err} }

// vfsFailed reports whether err is what SQLite makes of cause, and not an error of its own.
func vfsFailed(err, cause error) bool {
	return errors.Is(err, sqlite3.IOERR) || errors.Is(err, sqlite3.CANTOPEN) || strings.Contains(err.Error(), cause.Error())
}
