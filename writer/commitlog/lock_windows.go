package commitlog

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lock makes f this Log's until it is closed, or returns ErrInUse. The byte that it locks lies beyond all that is read.
func lock(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1 << 30})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrInUse
	}
	return err
}

// unlock is done by closing the file.
func unlock(*os.File) {}
