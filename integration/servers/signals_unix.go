//go:build unix

package servers

import (
	"os"
	"syscall"
)

// The signals that freeze a process and let it go on.
var sigPause, sigResume os.Signal = syscall.SIGSTOP, syscall.SIGCONT
