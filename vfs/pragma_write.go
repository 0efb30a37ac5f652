package vfs

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// sqlitePragma keeps SQLite's own pragmas from what cannot be done here.
func (f *file) sqlitePragma(name, value string) (string, error) {
	if value == "" || !f.db.Writable() {
		return "", sqlite3.NOTFOUND
	}
	switch name {
	case "journal_mode":
		// A rollback journal is all there is, and it is nowhere but in this process. Without any, SQLite could take nothing back.
		return "delete", nil
	case "locking_mode":
		// A lock that is never given back would pin one Snapshot for ever; and SQLite would count its changes once only.
		return "normal", nil
	case "page_size":
		s, err := f.reading(f.context())
		if err == nil && s.Commit > 0 && value != strconv.Itoa(int(s.PageSize)) {
			err = fmt.Errorf("page_size: %w: it is %d, and a database with another one begins a new replica (ltxctl push)", errPageSize, s.PageSize)
		}
		if err != nil {
			return "", err
		}
	}
	return "", sqlite3.NOTFOUND
}

// writeEnabled gets whether this process is the writer, or makes it that, or lets another one be.
func (f *file) writeEnabled(ctx context.Context, value string) (string, error) {
	var err error
	switch strings.ToLower(value) {
	case "":
	case "1", "true", "on", "yes":
		_, err = f.acquireLease(ctx)
	case "0", "false", "off", "no":
		if f.db.IsWriter() {
			_, err = f.releaseLease(ctx)
		}
	default:
		err = fmt.Errorf("%q is not a yes or no; write 1 or 0", value)
	}
	if err != nil {
		return "", err
	}
	if f.db.IsWriter() {
		return "1", nil
	}
	return "0", nil
}

// acquireLease makes this process the writer.
func (f *file) acquireLease(ctx context.Context) (string, error) {
	if err := f.mayChangeRole(); err != nil {
		return "", err
	}
	return "1", f.db.Acquire(ctx)
}

// releaseLease uploads what is committed, and lets another process be the writer.
func (f *file) releaseLease(ctx context.Context) (string, error) {
	if err := f.mayChangeRole(); err != nil {
		return "", err
	}
	return "1", f.db.Release(ctx)
}

func (f *file) mayChangeRole() error {
	switch {
	case !f.db.Writable():
		return errNotOpenedToWrite
	case f.inTransaction():
		return errInTransaction
	}
	return nil
}

// syncNow brings everything that is committed to the bucket, and returns the TXID that it then has.
func (f *file) syncNow(ctx context.Context) (string, error) {
	if !f.db.Writable() {
		return "", errNotOpenedToWrite
	}
	if err := f.db.Sync(ctx); err != nil {
		return "", err
	}
	return f.db.Durable().String(), nil
}

// pending is how many commits are not in the bucket yet.
func (f *file) pending(context.Context) (string, error) {
	if !f.db.Writable() {
		return "0", nil
	}
	return strconv.Itoa(f.db.Pending()), nil
}
