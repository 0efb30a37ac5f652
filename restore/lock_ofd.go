//go:build linux || darwin

package restore

import (
	"errors"
	"io"
	"os"
	"runtime"
	"syscall"
)

// ofdSetLock is F_OFD_SETLK: a lock belongs to the open file, not to the process, so that closing another file of the same
// database does not give it up. It and SQLite's own locks exclude each other.
var ofdSetLock = map[string]int{"linux": 37, "darwin": 90}[runtime.GOOS]

// lockRange changes the lock on n bytes of f from off on. It does not wait: when somebody else has it the error is errLocked.
func lockRange(f *os.File, kind lockKind, off, n int64) error {
	l := syscall.Flock_t{Type: syscall.F_UNLCK, Whence: io.SeekStart, Start: off, Len: n}
	if kind == lock {
		l.Type = syscall.F_WRLCK
	}
	for {
		err := syscall.FcntlFlock(f.Fd(), ofdSetLock, &l)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES):
			return errLocked
		case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOTSUP):
			return ErrNoLocks
		}
		return err
	}
}
