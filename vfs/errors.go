package vfs

import (
	"context"
	"errors"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/litefs-s3/litefs-s3/index"
)

// fail keeps the cause of an error where it can be found again, and returns what SQLite understands.
func (f *file) fail(op string, err error) error {
	f.cause = err
	f.db.Note(f.context(), op, err)
	if interrupted(err) {
		return vfs.SystemError(err, sqlite3.INTERRUPT)
	}
	return vfs.SystemError(err, code(err))
}

// interrupted reports whether err means that the caller does not want the answer any more.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// code is the result code for the cause of a read that failed.
func code(err error) sqlite3.ExtendedErrorCode {
	if errors.Is(err, index.ErrCorrupt) {
		return sqlite3.IOERR_CORRUPTFS
	}
	return sqlite3.IOERR_READ
}

// refuse is fail for what cannot be written.
func (f *file) refuse(op string, err error) error {
	f.cause = err
	var r *Refusal
	switch {
	case !errors.As(err, &r):
		f.db.Note(f.context(), op, err)
		return vfs.SystemError(err, sqlite3.IOERR_WRITE)
	case r.Kind == Busy: // not worth a line in the log: it passes
		return vfs.SystemError(err, sqlite3.BUSY)
	case r.Kind == Stale:
		return vfs.SystemError(err, sqlite3.BUSY_SNAPSHOT)
	}
	f.db.Note(f.context(), op, err)
	return vfs.SystemError(err, sqlite3.READONLY)
}
