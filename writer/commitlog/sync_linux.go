package commitlog

import (
	"errors"
	"os"
	"syscall"
)

// syncFile brings the content of f to the disk, and of its metadata what is needed to read it.
func syncFile(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
