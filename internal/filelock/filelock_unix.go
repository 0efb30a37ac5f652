//go:build unix && !solaris && !aix && !illumos

package filelock

import (
	"errors"
	"os"
	"syscall"
)

// Lock makes f the caller's until Unlock, or until it is closed, or returns ErrLocked. It does not wait.
func Lock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrLocked
		}
		return err
	}
}

// Unlock gives it back at once. To close the file is not enough while a process that is just being forked has it, too.
func Unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
