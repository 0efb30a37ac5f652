//go:build !linux

package slowproxy

import "time"

// nap sleeps as exactly as Go's timers do, which is a millisecond.
func nap(d time.Duration) { time.Sleep(d) }
