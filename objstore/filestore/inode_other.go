//go:build !unix

package filestore

import "io/fs"

// inodeOf returns 0: there is no such number here.
func inodeOf(fs.FileInfo) uint64 { return 0 }
