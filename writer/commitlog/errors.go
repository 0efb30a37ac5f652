package commitlog

import (
	"errors"
	"fmt"
)

var (
	// ErrInUse: another process, or another Log of this one, has the directory.
	ErrInUse = errors.New("commit log is in use by another process; give each process its own buffer_path, or end the other one")
	// ErrOther: the log holds transactions of another replica.
	ErrOther = errors.New("commit log belongs to another replica")
	// ErrFailed: the disk failed in a way after which nobody knows what is on it. The log takes nothing more until it is opened again.
	ErrFailed = errors.New("commit log has failed")
	// ErrDamaged is what every DamagedError is.
	ErrDamaged = errors.New("commit log is damaged")
	// ErrSetAside: the log was set aside, and no other one was begun.
	ErrSetAside = errors.New("commit log was set aside")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("commit log is closed")

	errRecord = errors.New("no record") // not exported: where a log ends
)

// DamagedError says where a log cannot be read although there is more behind.
type DamagedError struct {
	Path string
	Off  int64  // bytes
	Last uint64 // the last transaction before, as a number of this log
	Why  string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s: damaged at byte %d, after transaction %d of the log: %s", e.Path, e.Off, e.Last, e.Why)
}

// Is makes errors.Is(err, ErrDamaged) true.
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }
