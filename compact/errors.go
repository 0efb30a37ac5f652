package compact

import (
	"errors"

	"github.com/litefs-s3/litefs-s3/compact/merge"
)

// Errors that callers tell apart with errors.Is. A file that cannot be right is index.ErrCorrupt, missing transactions are
// index.ErrGap.
var (
	// ErrConflict: a file of the replica has the name of a new one and says something else. Nothing was changed.
	ErrConflict = merge.ErrConflict
	// ErrNoDatabase: the image is no SQLite database, or not a whole one.
	ErrNoDatabase = merge.ErrNoDatabase
	// ErrMoved: files of the plan were removed or replaced meanwhile. Nothing is lost; plan again.
	ErrMoved = errors.New("the replica has changed since the plan was made; run again")
	// ErrNotDeleted: the store said that files were removed, and lists them still.
	ErrNotDeleted = errors.New("the store said that it removed files and still lists them")
	// ErrNotEmpty: there is something under the prefix that a new replica is to be made at.
	ErrNotEmpty = errors.New("the prefix is not empty")
	// ErrNoGap: there is nothing to repair.
	ErrNoGap = errors.New("no transactions are missing")
)
