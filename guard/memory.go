package guard

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// ErrMemory: a statement needs more memory than its connection may have.
var ErrMemory = errors.New("out of memory: the statement needs more than a connection may have; select fewer or shorter values")

// Do runs fn and turns the driver's panic about memory into ErrMemory. Any other panic is a fault of the program and goes on.
func Do(fn func() error) (err error) {
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

// isMemory reports whether p is what the driver panics with: an error of an internal type, told by its text alone.
func isMemory(p any) bool {
	err, ok := p.(error)
	return ok && strings.HasSuffix(err.Error(), "out of memory")
}

// Open opens a database by its URI, within limits. ctx bounds the open.
func Open(ctx context.Context, uri string, l Limits) (conn *sqlite3.Conn, err error) {
	err = Do(func() error {
		conn, err = sqlite3.OpenContext(sqlite3.WithMaxMemory(ctx, l.withDefaults().Memory), uri)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.Apply(conn)
	return conn, nil
}

// Close closes a connection with the statements that are still open on it: one that a panic has left would keep it open.
func Close(conn *sqlite3.Conn) error {
	var left []*sqlite3.Stmt
	for stmt := range conn.Stmts() {
		left = append(left, stmt)
	}
	for _, stmt := range left {
		Finalize(stmt) //nolint:errcheck // what its last step said was told then
	}
	return Do(conn.Close)
}

// Prepare compiles the first statement in sql. stmt is nil when there is none.
func Prepare(conn *sqlite3.Conn, sql string) (stmt *sqlite3.Stmt, tail string, err error) {
	err = Do(func() error {
		stmt, tail, err = conn.Prepare(sql)
		return err
	})
	return stmt, tail, err
}

// Step goes to the next row. row is false after the last one.
func Step(stmt *sqlite3.Stmt) (row bool, err error) {
	err = Do(func() error {
		row = stmt.Step()
		if !row {
			return stmt.Err()
		}
		return nil
	})
	return row, err
}

// Finalize closes a statement. After a step that failed, its error is the same once more.
func Finalize(stmt *sqlite3.Stmt) error {
	err := Do(stmt.Close)
	if errors.Is(err, ErrMemory) {
		err = Do(stmt.Close) // the first close reports the failed step by another panic
	}
	return err
}
