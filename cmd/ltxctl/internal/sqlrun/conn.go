package sqlrun

import (
	"context"
	"errors"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/guard"
	"github.com/litefs-s3/litefs-s3/vfs"
)

// limits are those of a person who types at a replica of their own: what a connection may have in memory, and nothing else that
// SQLite would not refuse by itself.
var limits = guard.Limits{
	Memory: 256 << 20, Length: 48 << 20,
	SQL: 1 << 30, Columns: 2000, Compound: 500, Depth: 1000, Args: 1000, Program: 250_000_000, Pattern: 50_000, Attached: 10,
}

// Conn is a connection that survives whatever it is asked. It is used by one goroutine at a time.
type Conn struct {
	db *sqlite3.Conn
}

// Open opens a database by its URI. When ctx ends first, Open returns, and what was under way ends by itself.
func Open(ctx context.Context, uri string) (*Conn, error) {
	type opened struct {
		conn *Conn
		err  error
	}
	done := make(chan opened, 1)
	go func() { // SQLite hands the VFS no context to open with
		conn, err := open(ctx, uri)
		done <- opened{conn, err}
	}()
	select {
	case o := <-done:
		return o.conn, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				o.conn.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

func open(ctx context.Context, uri string) (*Conn, error) {
	db, err := guard.Open(ctx, uri, limits)
	if err != nil {
		return nil, err
	}
	return &Conn{db: db}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return guard.Close(c.db) }

// explain adds what the driver does not hand over to the error of a statement: why the VFS failed, and that it was the context.
func (c *Conn) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, guard.ErrMemory):
		return context.Cause(ctx)
	}
	for _, cause := range c.causes() {
		switch {
		case errors.Is(err, cause):
			return err
		case errors.Is(err, sqlite3.IOERR), errors.Is(err, sqlite3.CANTOPEN):
			return &CauseError{Err: err, Cause: cause, text: cause.Error()} // "disk I/O error" would lead astray
		case strings.Contains(err.Error(), cause.Error()): // a pragma: the words are there, what kind it is was lost
			return &CauseError{Err: err, Cause: cause, text: err.Error()}
		}
	}
	return err
}

// causes are the last errors of the replicas that are open on the connection.
func (c *Conn) causes() []error {
	var all []error
	for i := 0; ; i++ {
		schema := c.db.DBName(i)
		if schema == "" {
			return all
		}
		if name := c.db.Filename(schema); name == nil || name.String() == "" {
			continue // in memory, where no file is to be asked
		}
		if cause, ok := vfs.Cause(c.db, schema); ok && cause != nil {
			all = append(all, cause)
		}
	}
}

// CauseError is an error of SQLite together with why the VFS gave it.
type CauseError struct {
	Err, Cause error
	text       string
}

func (e *CauseError) Error() string { return e.text }

func (e *CauseError) Unwrap() []error { return []error{e.Err, e.Cause} }
