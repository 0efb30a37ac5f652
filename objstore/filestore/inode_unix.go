//go:build unix

package filestore

import (
	"io/fs"
	"syscall"
)

// inodeOf returns the number of a file in its file system, or 0.
func inodeOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return 0
}
