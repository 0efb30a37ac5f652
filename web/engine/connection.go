package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/guard"
	"github.com/litefs-s3/litefs-s3/vfs"
)

const (
	// maxMemory is what SQLite may have for one connection, in bytes: Go's memory in a browser only grows.
	maxMemory = 128 << 20
	// maxLength is the longest string or blob, in bytes. SQLite holds a value more than once.
	maxLength = maxMemory / 16 * 3
)

// connection is one of SQLite. The next statement may get another one, so what a statement changes of it does not last.
type connection struct {
	*sqlite3.Conn
	spent bool // it must not be used again: a setting was changed, or its memory is used up
}

// connect opens a connection of a moment.
func (m *Moment) connect(ctx context.Context) (*connection, error) {
	uri := "file:" + m.name + "?vfs=" + vfsName + "&mode=ro&_pragma=temp_store(memory)"
	if m.view != nil {
		uri += "&txid=" + m.view.TXID.String()
	}
	c := new(connection)
	err := guard.Do(func() (err error) {
		c.Conn, err = sqlite3.OpenContext(sqlite3.WithMaxMemory(ctx, maxMemory), uri)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open a connection: %w", err)
	}
	c.Limit(sqlite3.LIMIT_LENGTH, maxLength)
	c.Limit(sqlite3.LIMIT_ATTACHED, 0)
	return c, c.SetAuthorizer(c.authorize)
}

// authorize lets everything pass that no later statement can notice, and notes what it would. It is asked when a statement is prepared.
func (c *connection) authorize(action sqlite3.AuthorizerActionCode, name, value, _, _ string) sqlite3.AuthorizerReturnCode {
	switch action {
	case sqlite3.AUTH_PRAGMA:
		name = strings.ToLower(name)
		if value != "" && travels[name] {
			return sqlite3.AUTH_DENY // it would be forgotten at once, and the reader would not know
		}
		c.spent = c.spent || value != "" && !asks[name]
	case sqlite3.AUTH_TRANSACTION, sqlite3.AUTH_SAVEPOINT, sqlite3.AUTH_CREATE_TEMP_TABLE, sqlite3.AUTH_CREATE_TEMP_VIEW,
		sqlite3.AUTH_CREATE_TEMP_TRIGGER, sqlite3.AUTH_CREATE_TEMP_INDEX, sqlite3.AUTH_CREATE_VTABLE:
		c.spent = true
	}
	return sqlite3.AUTH_OK
}

// travels are the pragmas that set the moment that a connection reads.
var travels = map[string]bool{"litestream_time": true, "litestream_txid": true, "litevfs_time": true, "litevfs_txid": true}

// asks are pragmas that take an argument and change nothing.
var asks = map[string]bool{
	"table_info": true, "table_xinfo": true, "table_list": true, "index_list": true, "index_info": true, "index_xinfo": true,
	"foreign_key_list": true, "foreign_key_check": true, "integrity_check": true, "quick_check": true, "litestream_wait_txid": true,
}

// close closes a connection that nobody will use again. An error would be of no use to anyone.
func (c *connection) close() { _ = guard.Do(c.Conn.Close) }

// explain adds what the driver does not hand over to the error of a statement: that it was cancelled, and why the VFS failed.
func explain(ctx context.Context, conn *connection, err error) error {
	if err == nil || errors.Is(err, guard.ErrMemory) {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, sqlite3.AUTH) {
		return fmt.Errorf("%w: open another moment with at(), for the next statement may run on another connection", err)
	}
	if cause, ok := vfs.Cause(conn.Conn, "main"); ok && cause != nil && vfsFailed(err, cause) {
		return &causeError{err: err, cause: cause}
	}
	return err
}
