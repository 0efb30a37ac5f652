//go:build (!unix && !windows) || solaris || aix || illumos

package commitlog

import "os"

// lock has nothing to lock with here: one process at a time must use a log.
func lock(*os.File) error { return nil }

// unlock is done by closing the file.
func unlock(*os.File) {}
