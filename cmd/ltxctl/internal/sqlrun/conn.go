package sqlrun

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/vfs"
)

// MaxLength is the longest string or blob in bytes. A connection has 256 MiB in all, and SQLite holds a value more than once.
const MaxLength = 48 << 20

// ErrMemory: a statement needs more memory than a connection has.
var ErrMemory = errors.New("out of memory: the statement needs more than the 256 MiB a connection has; select fewer or shorter values")

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

func open(ctx context.Context, uri string) (conn *Conn, err error) {
	err = guard(func() error {
		db, err := sqlite3.OpenContext(ctx, uri)
		if err != nil {
			return err
		}
		db.Limit(sqlite3.LIMIT_LENGTH, MaxLength)
		conn = &Conn{db: db}
		return nil
	})
	return conn, err
}

// Close closes the connection.
func (c *Conn) Close() error {
	return guard(c.db.Close)
}

// guard turns the driver's panic about memory into ErrMemory. Any other panic is a fault of ours and goes on.
func guard(fn func() error) (err error) {
	defer func() {
		switch p := recover(); {
		case p == nil:
		case isMemory(p):
			err = ErrMemory
			debug.FreeOSMemory() // the connection has just grown to its limit
		default:
			panic(p)
		}
	}()
	return fn()
}

func isMemory(p any) bool {
	err, ok := p.(error)
	return ok && strings.HasSuffix(err.Error(), "out of memory")
}

// explain adds what the driver does not hand over to the error of a statement: why the VFS failed, and that it was the context.
func (c *Conn) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, ErrMemory):
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
