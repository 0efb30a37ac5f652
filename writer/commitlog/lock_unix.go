//go:build unix && !solaris && !aix && !illumos

package commitlog

import (
	"errors"
	"os"
	"syscall"
)

// lock makes f this Log's until it is closed, or returns ErrInUse.
func lock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrInUse
		}
		return err
	}
}

// unlock gives it back at once. To close the file is not enough while a process that is just being forked has it, too.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
