package restore

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockRange changes the lock on n bytes of f from off on. It does not wait: when somebody else has it the error is errLocked.
func lockRange(f *os.File, kind lockKind, off, n int64) error {
	h, at := windows.Handle(f.Fd()), &windows.Overlapped{Offset: uint32(off), OffsetHigh: uint32(off >> 32)}
	if kind == unlock {
		err := windows.UnlockFileEx(h, 0, uint32(n), uint32(n>>32), at)
		if errors.Is(err, windows.ERROR_NOT_LOCKED) {
			return nil
		}
		return err
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(h, flags, 0, uint32(n), uint32(n>>32), at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errLocked
	}
	return err
}
