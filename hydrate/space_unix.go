//go:build linux || darwin

package hydrate

import (
	"io/fs"
	"syscall"
)

// freeBytes is the room left for files in dir. ok is false when it cannot be told.
func freeBytes(dir string) (n int64, ok bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil || st.Blocks == 0 {
		return 0, false
	}
	return int64(min(st.Bavail, 1<<40)) * int64(st.Bsize), true
}

// allocated is the room that a file takes, holes excepted.
func allocated(info fs.FileInfo) int64 {
	const blockSize = 512 // whatever the file system's is
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * blockSize
	}
	return info.Size()
}
