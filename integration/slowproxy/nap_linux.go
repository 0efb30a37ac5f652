package slowproxy

import (
	"syscall"
	"time"
)

// nap blocks the thread for d, at most a few milliseconds. The kernel wakes it within some 60 µs; Go's own timers are
// rounded up to whole milliseconds when the process is otherwise idle.
func nap(d time.Duration) {
	left := syscall.NsecToTimespec(int64(d))
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}
