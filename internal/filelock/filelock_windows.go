package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// Lock makes f the caller's until it is closed, or returns ErrLocked. The byte that it locks lies beyond all that is read.
func Lock(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1 << 30})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return err
}

// Unlock is done by closing the file.
func Unlock(*os.File) {}
