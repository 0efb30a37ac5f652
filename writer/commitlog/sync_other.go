//go:build !linux

package commitlog

import "os"

// syncFile brings f to the disk.
func syncFile(f *os.File) error { return f.Sync() }
