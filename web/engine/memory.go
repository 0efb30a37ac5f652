package engine

import (
	"errors"
	"runtime/debug"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// ErrMemory: a statement needs more memory than a connection has.
var ErrMemory = errors.New("out of memory: the statement needs more than the 128 MiB of its connection; select fewer or shorter values")

func isMemory(err error) bool { return errors.Is(err, ErrMemory) }

// guarded runs fn, and turns what the driver panics with when SQLite runs out of memory into ErrMemory. Any other panic is a
// fault of ours and goes on.
func guarded(fn func() error) (err error) {
	defer func() {
		switch p := recover(); {
		case p == nil:
		case outOfMemory(p):
			err = ErrMemory
			debug.FreeOSMemory() // the connection has just grown to its limit
		default:
			panic(p)
		}
	}()
	return fn()
}

// outOfMemory knows the driver's panic by its text, which is all there is.
func outOfMemory(p any) bool {
	err, ok := p.(error)
	return ok && strings.HasSuffix(err.Error(), "out of memory")
}

// finalize closes a statement. When its last step has panicked, the first attempt does once more, and the second one succeeds.
func finalize(stmt *sqlite3.Stmt) error {
	err := guarded(stmt.Close)
	if isMemory(err) {
		err = guarded(stmt.Close)
	}
	return err
}
