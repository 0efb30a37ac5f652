//go:build !linux && !darwin

package hydrate

import "io/fs"

// freeBytes is the room left for files in dir. ok is false when it cannot be told.
func freeBytes(string) (n int64, ok bool) { return 0, false }

// allocated is the room that a file takes.
func allocated(info fs.FileInfo) int64 { return info.Size() }
