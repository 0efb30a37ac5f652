package restore

import "errors"

// lockKind is what becomes of a range of bytes.
type lockKind int

const (
	unlock lockKind = iota
	lock            // against everybody else
)

// errLocked: another process, or another open file of this one, has the range locked.
var errLocked = errors.New("locked by somebody else")

// Where SQLite locks a database file, and we beside it; see "File Locking" in SQLite's os.h. All of it lies in the lock page, whose bytes
// are never read or written.
const (
	pendingByte  = 0x40000000      // no new readers
	reservedByte = pendingByte + 1 // the one who writes
	sharedFirst  = pendingByte + 2 // readers
	sharedSize   = 510
	// ownerByte is locked by the one that a file belongs to; SQLite knows nothing of it.
	ownerByte = pendingByte + 1023
	// allLockBytes is how many bytes from pendingByte on SQLite and we use.
	allLockBytes = 1024
)
