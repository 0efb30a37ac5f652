//go:build !linux && !darwin && !windows

package restore

import "os"

// lockRange cannot do it: locks here belong to the process or to the whole file, and would not keep SQLite away.
func lockRange(*os.File, lockKind, int64, int64) error { return ErrNoLocks }
