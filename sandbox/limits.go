package sandbox

import (
	"fmt"
	"time"
)

// Limits bound one statement. The zero value is fit for a server.
type Limits struct {
	// Memory is all that an instance of the module may have, in bytes. Zero means 64 MiB; at least 32 MiB are needed to begin with,
	// and at most 4 GiB are possible.
	Memory int64
	// Time is how long the module may run for a statement. Time in which nobody asks for the next row does not count. Zero means
	// 5 s, negative that only the context ends it.
	Time time.Duration
	// Rows bounds the rows of a result. Zero means 10,000, negative any number.
	Rows int64
	// Bytes bounds the values of a result, each as SQLite holds it and up to 9 bytes more. Zero means 16 MiB, negative any number.
	Bytes int64
	// Fetch bounds what a statement makes the host read of the store, in bytes; each request counts as 16 KiB at least. Opening the
	// replica may read as much once more. Zero means 256 MiB, negative any number.
	Fetch int64
}

const (
	leastMemory = 32 << 20
	mostMemory  = 4 << 30
)

func (l Limits) withDefaults() Limits {
	l.Memory = or(l.Memory, 64<<20)
	l.Time = or(l.Time, 5*time.Second)
	l.Rows = or(l.Rows, 10_000)
	l.Bytes = or(l.Bytes, 16<<20)
	l.Fetch = or(l.Fetch, 256<<20)
	return l
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func (l Limits) check() error {
	if l.Memory < leastMemory || l.Memory > mostMemory {
		return fmt.Errorf("%w: a memory of %d bytes; the module needs at least 32 MiB and can have at most 4 GiB", ErrLimits, l.Memory)
	}
	return nil
}

// shares say what an instance does with its memory. SQLite's own grows by copying, so that for a moment it needs more than twice of what it
// has; the Go program around it takes 16 MiB.
func (l Limits) shares() (sql, cache int64) {
	free := l.Memory - 20<<20
	return min(free*2/5, 1<<30), min(free/6, 64<<20)
}
