//go:build !unix

package servers

import "os"

// There are no signals that freeze a process here: Pause and Resume fail.
var sigPause, sigResume os.Signal
