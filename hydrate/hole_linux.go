package hydrate

import (
	"errors"
	"os"
	"syscall"
)

// canPunch says that room can be given back in the middle of a file.
const canPunch = true

// punch gives the room of a stretch of the file back. It reads as zeros then.
func punch(f *os.File, off, size int64) error {
	const keepSize, punchHole = 1, 2 // FALLOC_FL_…
	for {
		err := syscall.Fallocate(int(f.Fd()), punchHole|keepSize, off, size)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
