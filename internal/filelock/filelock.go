package filelock

import "errors"

// ErrLocked: somebody else has the file.
var ErrLocked = errors.New("file is locked by another process")
