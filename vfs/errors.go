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
