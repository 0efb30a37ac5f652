package restore

import (
	"os"

	"golang.org/x/sys/unix"
)

// beginWriteback starts to bring n bytes of f from off on to disk, and does not wait for that. It is a hint: where it fails,
// the flush at the end does all the work, and says what is wrong.
func beginWriteback(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}
